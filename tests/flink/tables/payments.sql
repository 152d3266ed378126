CREATE TABLE payments (
  pay_id INT, order_id INT, paid DECIMAL(10, 2), ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/payments.json', 'format' = 'json');
