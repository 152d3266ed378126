-- Arrays as sets.
-- tables: nested
SELECT id, ARRAY_UNION(nums, ARRAY[1, 2]) AS u, ARRAY_EXCEPT(nums, ARRAY[1, 2]) AS e, ARRAY_INTERSECT(nums, ARRAY[1, 2, 3, 4]) AS i, ARRAY_PREPEND(nums, 0) AS p FROM nested;
