-- Sessions of each key.
-- tables: events
SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS s
FROM TABLE(SESSION(TABLE events PARTITION BY k, DESCRIPTOR(ts), INTERVAL '12' SECOND))
GROUP BY window_start, window_end, k;
