-- Zones: LTZ to strings and to timestamps, gaps and overlaps of summer time.
-- tables: moments
SET 'table.local-time-zone' = 'Europe/Berlin';
SELECT id, CAST(z AS STRING) AS s, CAST(z AS TIMESTAMP(3)) AS t, CAST(z AS DATE) AS d, CAST(t AS TIMESTAMP_LTZ(3)) AS l, HOUR(z) AS h, DATE_FORMAT(z, 'HH:mm') AS f, CONVERT_TZ('2024-03-31 01:30:00', 'UTC', 'America/New_York') AS c FROM moments;
