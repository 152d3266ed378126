CREATE TABLE orders (
  order_id INT, customer INT, currency STRING, amount DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/orders.json', 'format' = 'json');
