-- Windows of a day over a TIMESTAMP_LTZ, which are cut in the session's zone.
SET 'table.local-time-zone' = 'Asia/Tokyo';
CREATE TABLE m (id INT, e BIGINT, t AS TO_TIMESTAMP_LTZ(e * 1000, 3), WATERMARK FOR t AS t) WITH ('connector' = 'filesystem', 'path' = '${data}/moments.json', 'format' = 'json');
SELECT window_start, window_end, COUNT(*) AS n, MAX(id) AS m FROM TABLE(TUMBLE(TABLE m, DESCRIPTOR(t), INTERVAL '1' DAY)) GROUP BY window_start, window_end;
