-- EXISTS without correlation.
-- tables: orders customers
SELECT order_id FROM orders WHERE EXISTS (SELECT 1 FROM customers WHERE city = 'Paris') OR order_id = 3;
