-- A partial insert: other columns are null.
-- tables: orders
CREATE TABLE out_ (a STRING, b BIGINT, c DOUBLE) WITH ('connector' = 'print');
INSERT INTO out_ (c, a) SELECT amount, currency FROM orders WHERE order_id < 20;
