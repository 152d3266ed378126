CREATE TABLE customers (id INT, name STRING, city STRING, since DATE)
WITH ('connector' = 'filesystem', 'path' = '${data}/customers.json', 'format' = 'json');
