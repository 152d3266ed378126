-- Tumbling windows over out-of-order, late, duplicate and null rows.
-- tables: events
SELECT window_start, window_end, k, COUNT(*) AS n, COUNT(v) AS nv, SUM(v) AS s, MIN(w) AS lo, MAX(d) AS hi
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '30' SECOND))
GROUP BY window_start, window_end, k;
