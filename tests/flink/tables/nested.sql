CREATE TABLE nested (
  id INT, tags ARRAY<STRING>, nums ARRAY<INT>, attrs MAP<STRING, INT>, r ROW<a INT, b STRING>,
  items ARRAY<ROW<sku STRING, qty INT>>
) WITH ('connector' = 'filesystem', 'path' = '${data}/nested.json', 'format' = 'json');
