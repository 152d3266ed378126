-- Rows that are late by less than the allowed lateness fire their window again.
-- tables: events
SET 'table.exec.emit.late-fire.enabled' = 'true';
SET 'table.exec.emit.late-fire.delay' = '0 s';
SET 'table.exec.emit.allow-lateness' = '60 s';
SELECT TUMBLE_START(ts, INTERVAL '30' SECOND) AS ws, COUNT(*) AS n, SUM(v) AS s FROM events GROUP BY TUMBLE(ts, INTERVAL '30' SECOND);
