-- The window columns without an aggregate: every row, late ones too.
-- tables: events
SELECT id, k, ts, window_start, window_end, window_time
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND)) WHERE id < 60;
