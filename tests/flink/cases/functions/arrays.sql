-- Array functions.
-- tables: nested
SELECT id, ARRAY_CONTAINS(nums, 3) AS c, ARRAY_DISTINCT(tags) AS d, ARRAY_POSITION(tags, 'red') AS p, ARRAY_REVERSE(nums) AS r, ARRAY_MAX(nums) AS mx, ARRAY_MIN(nums) AS mn, ARRAY_JOIN(tags, '+') AS j, ARRAY_CONCAT(nums, ARRAY[1]) AS cc,
  ARRAY_SLICE(nums, 2, 3) AS sl, ARRAY_SORT(nums) AS so, ARRAY_REMOVE(tags, 'red') AS rm, ARRAY_APPEND(nums, 5) AS ap, ELEMENT(ARRAY[id]) AS el FROM nested;
