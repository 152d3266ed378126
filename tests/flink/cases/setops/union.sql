-- UNION drops duplicates; nulls are equal.
-- tables: orders payments
SELECT order_id FROM orders UNION SELECT order_id FROM payments;
