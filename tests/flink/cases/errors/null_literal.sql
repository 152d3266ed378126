-- Text where a number belongs.
SELECT CAST('x' AS INT) + 1 AS a;
