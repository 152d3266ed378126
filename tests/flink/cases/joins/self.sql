-- A stream with itself.
-- tables: orders
SELECT a.order_id AS x, b.order_id AS y FROM orders a JOIN orders b ON a.customer = b.customer AND a.currency = b.currency AND a.order_id < b.order_id WHERE a.order_id < 40;
