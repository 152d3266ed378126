CREATE TABLE ticks (
  symbol STRING, price INT, volume INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts
) WITH ('connector' = 'filesystem', 'path' = '${data}/ticks.json', 'format' = 'json');
