-- The older form of sliding windows.
-- tables: events
SELECT HOP_START(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE) AS ws, HOP_END(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE) AS we, k, MAX(v) AS m
FROM events GROUP BY k, HOP(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE);
