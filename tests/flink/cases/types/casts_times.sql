-- Casts between times.
-- tables: moments
SELECT id, CAST(t AS DATE) AS d, CAST(t AS TIME) AS h, CAST(t AS STRING) AS s, CAST(d AS TIMESTAMP(3)) AS dt, CAST(h AS STRING) AS hs, CAST(d AS STRING) AS ds, CAST(t AS TIMESTAMP(0)) AS t0 FROM moments;
