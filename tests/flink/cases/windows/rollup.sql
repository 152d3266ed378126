-- ROLLUP over a window.
-- tables: events
SELECT window_start, window_end, k, ok, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '2' MINUTE))
GROUP BY window_start, window_end, ROLLUP (k, ok);
