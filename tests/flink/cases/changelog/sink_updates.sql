-- A sink that takes updates.
-- tables: orders
CREATE TABLE out_ (currency STRING, n BIGINT) WITH ('connector' = 'print');
INSERT INTO out_ SELECT currency, COUNT(*) FROM orders GROUP BY currency;
