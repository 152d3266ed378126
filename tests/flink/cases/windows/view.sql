-- A view keeps the time attribute.
-- tables: events
CREATE VIEW positive AS SELECT k, v * 2 AS vv, ts AS t FROM events WHERE v > 0;
SELECT window_start, k, SUM(vv) AS s FROM TABLE(TUMBLE(TABLE positive, DESCRIPTOR(t), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, k;
