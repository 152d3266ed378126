-- INSERT maps by position and casts to the sink's types.
-- tables: orders
CREATE TABLE out_ (a STRING, b BIGINT, c DOUBLE, d TIMESTAMP(3)) WITH ('connector' = 'print');
INSERT INTO out_ SELECT currency, order_id, amount, ts FROM orders WHERE order_id < 20;
