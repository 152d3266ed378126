-- The form without TABLE( ), no key, a window without aggregates of its key.
-- tables: events
SELECT window_start, window_time, AVG(v) AS a, AVG(d) AS ad
FROM TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, window_time;
