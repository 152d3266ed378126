-- HAVING over window aggregates.
-- tables: events
SELECT window_start, k, SUM(v) AS s
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, k HAVING COUNT(*) > 3 AND SUM(v) IS NOT NULL;
