-- UNION ALL keeps duplicates.
-- tables: orders payments
SELECT order_id FROM orders UNION ALL SELECT order_id FROM payments;
