-- Windows of a day, in a zone where the day begins elsewhere: event time without zone is not moved.
-- tables: moments
SET 'table.local-time-zone' = 'Asia/Tokyo';
CREATE TABLE m (id INT, t TIMESTAMP(3), rt AS COALESCE(t, TIMESTAMP '2038-01-20 00:00:00'), WATERMARK FOR rt AS rt) WITH ('connector' = 'filesystem', 'path' = '${data}/moments.json', 'format' = 'json');
SELECT window_start, window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE m, DESCRIPTOR(rt), INTERVAL '1' DAY)) WHERE id < 9 GROUP BY window_start, window_end;
