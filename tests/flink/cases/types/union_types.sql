-- What CASE and COALESCE make of different types.
-- tables: numbers
SELECT id, CASE WHEN id < 3 THEN t ELSE b END AS tb, CASE WHEN id < 3 THEN d ELSE i END AS di, COALESCE(t, d, x) AS c, CASE WHEN id = 1 THEN 'a' ELSE 'bcd' END AS s, COALESCE(f, i) AS fi, IF(id > 2, e, d) AS ed FROM numbers;
