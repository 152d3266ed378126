-- LEFT JOIN UNNEST keeps them.
-- tables: nested
SELECT id, num FROM nested LEFT JOIN UNNEST(nums) AS t(num) ON TRUE;
