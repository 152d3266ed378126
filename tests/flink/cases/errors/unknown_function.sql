-- No such function.
-- tables: orders
SELECT nosuch(order_id) FROM orders;
