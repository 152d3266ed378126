-- Comparison with SOME.
-- tables: orders customers
SELECT order_id FROM orders WHERE customer = SOME (SELECT id FROM customers WHERE id < 3) AND order_id < 50;
