-- Cumulating windows.
-- tables: events
SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS s
FROM TABLE(CUMULATE(TABLE events, DESCRIPTOR(ts), INTERVAL '20' SECOND, INTERVAL '2' MINUTE))
GROUP BY window_start, window_end, k;
