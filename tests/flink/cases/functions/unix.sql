-- Unix time in a zone.
-- tables: moments
SET 'table.local-time-zone' = 'Europe/Berlin';
SELECT id, FROM_UNIXTIME(e) AS f, FROM_UNIXTIME(e, 'yyyy/MM/dd HH') AS g, UNIX_TIMESTAMP('2024-07-01 12:00:00') AS u, UNIX_TIMESTAMP('01.07.2024', 'dd.MM.yyyy') AS v, TO_TIMESTAMP_LTZ(e, 0) AS l, TO_TIMESTAMP_LTZ(e, 3) AS l3 FROM moments;
