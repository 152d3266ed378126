CREATE TABLE numbers (
  id INT, t TINYINT, s SMALLINT, i INT, b BIGINT, f FLOAT, x DOUBLE, d DECIMAL(10, 2),
  e DECIMAL(6, 5), w DECIMAL(38, 1)
) WITH ('connector' = 'filesystem', 'path' = '${data}/numbers.json', 'format' = 'json');
