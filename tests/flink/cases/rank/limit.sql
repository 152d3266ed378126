-- ORDER BY with LIMIT is a Top-N.
-- tables: orders
SELECT order_id, amount FROM orders ORDER BY amount DESC, order_id LIMIT 7;
