-- Text is not compared with a number by itself.
-- tables: orders
SELECT order_id FROM orders WHERE '7' = order_id;
