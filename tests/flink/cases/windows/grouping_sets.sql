-- GROUPING SETS over a window.
-- tables: events
SELECT window_start, window_end, k, ok, SUM(v) AS s, GROUPING(k) AS gk, GROUPING_ID(k, ok) AS g
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '2' MINUTE))
GROUP BY window_start, window_end, GROUPING SETS ((k, ok), (k), ());
