-- EXCEPT.
-- tables: orders payments
SELECT order_id FROM orders EXCEPT SELECT order_id FROM payments;
