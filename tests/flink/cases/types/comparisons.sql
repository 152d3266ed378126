-- Comparing across types.
-- tables: numbers
SELECT id, t < d AS a, i = x AS b, b > f AS c, d = 2.50 AS e, x BETWEEN 0 AND d AS bt, i IN (4, 7, 9.5) AS ii FROM numbers;
