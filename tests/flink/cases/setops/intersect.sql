-- INTERSECT.
-- tables: orders payments
SELECT order_id FROM orders INTERSECT SELECT order_id FROM payments;
