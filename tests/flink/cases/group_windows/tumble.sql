-- The older form of tumbling windows.
-- tables: events
SELECT TUMBLE_START(ts, INTERVAL '30' SECOND) AS ws, TUMBLE_END(ts, INTERVAL '30' SECOND) AS we, k, COUNT(*) AS n, SUM(v) AS s
FROM events GROUP BY TUMBLE(ts, INTERVAL '30' SECOND), k;
