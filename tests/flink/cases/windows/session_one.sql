-- Sessions of the whole stream.
-- tables: clicks
SELECT window_start, window_end, COUNT(*) AS n, SUM(ms) AS ms, MIN(ts) AS f, MAX(ts) AS l
FROM TABLE(SESSION(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' SECOND))
GROUP BY window_start, window_end;
