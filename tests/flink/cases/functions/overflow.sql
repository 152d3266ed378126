-- Integers wrap around.
-- tables: numbers
SELECT id, i + 1 AS i1, b + 1 AS b1, t + CAST(1 AS TINYINT) AS t1, s * CAST(2 AS SMALLINT) AS s2, -i AS ni FROM numbers WHERE id < 2;
