-- TRY_CAST gives null where CAST would fail.
-- tables: texts
SELECT id, TRY_CAST(s AS INT) AS i, TRY_CAST(s AS DOUBLE) AS x, TRY_CAST(s AS BOOLEAN) AS b, TRY_CAST(s AS DATE) AS d, TRY_CAST(s AS TIMESTAMP(3)) AS t, TRY_CAST(s AS DECIMAL(5, 1)) AS p FROM texts;
