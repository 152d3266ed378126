-- A row whose event time is null.
CREATE TABLE m (id INT, t TIMESTAMP(3), WATERMARK FOR t AS t) WITH ('connector' = 'filesystem', 'path' = '${data}/moments.json', 'format' = 'json');
SELECT window_start, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE m, DESCRIPTOR(t), INTERVAL '1' DAY)) GROUP BY window_start, window_end;
