-- A computed key, and one that is constant.
-- tables: events
SELECT window_end, MOD(id, 3) AS m, 'x' AS c, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, MOD(id, 3);
