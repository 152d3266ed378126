-- Windows of windows over window_time.
-- tables: events
CREATE VIEW small AS SELECT window_time AS rt, k, SUM(v) AS s, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '30' SECOND)) GROUP BY window_start, window_end, window_time, k;
SELECT window_start, window_end, SUM(s) AS s, SUM(n) AS n
FROM TABLE(TUMBLE(TABLE small, DESCRIPTOR(rt), INTERVAL '2' MINUTE)) GROUP BY window_start, window_end;
