-- Sliding windows.
-- tables: events
SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS s, AVG(w) AS a
FROM TABLE(HOP(TABLE events, DESCRIPTOR(ts), INTERVAL '20' SECOND, INTERVAL '60' SECOND))
GROUP BY window_start, window_end, k;
