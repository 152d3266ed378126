-- Semi join by EXISTS.
-- tables: orders payments
SELECT * FROM orders o WHERE EXISTS (SELECT 1 FROM payments p WHERE p.order_id = o.order_id AND p.paid > 100);
