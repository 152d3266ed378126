CREATE TABLE events (
  id INT, k STRING, v INT, w DOUBLE, d DECIMAL(10, 2), ok BOOLEAN, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/events.json', 'format' = 'json');
