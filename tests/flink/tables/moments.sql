CREATE TABLE moments (
  id INT, t TIMESTAMP(3), z TIMESTAMP_LTZ(3), d DATE, h TIME(0), e BIGINT
) WITH ('connector' = 'filesystem', 'path' = '${data}/moments.json', 'format' = 'json');
