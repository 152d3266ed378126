-- LIMIT and OFFSET.
-- tables: orders
SELECT order_id, amount FROM orders ORDER BY amount DESC, order_id LIMIT 5 OFFSET 3;
