-- The common type of both sides.
-- tables: numbers
SELECT id, t AS v FROM numbers UNION ALL SELECT id, d FROM numbers UNION ALL SELECT id, CAST(x AS DECIMAL(20, 5)) FROM numbers;
