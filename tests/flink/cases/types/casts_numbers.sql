-- Casts between numbers: cut, wrapped or null.
-- tables: numbers
SELECT id, CAST(x AS INT) AS xi, CAST(d AS INT) AS di, CAST(i AS TINYINT) AS it, CAST(b AS INT) AS bi, CAST(d AS DECIMAL(3, 1)) AS dd, CAST(i AS FLOAT) AS fi, CAST(x AS DECIMAL(8, 3)) AS xd, CAST(t AS BOOLEAN) AS tb, CAST(f AS STRING) AS fs, CAST(x AS STRING) AS xs, CAST(d AS STRING) AS ds, CAST(b AS STRING) AS bs FROM numbers;
