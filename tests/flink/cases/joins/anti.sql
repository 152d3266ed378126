-- Anti join by NOT EXISTS: rows are taken back.
-- tables: orders payments
SELECT o.order_id, o.amount FROM orders o WHERE NOT EXISTS (SELECT 1 FROM payments p WHERE p.order_id = o.order_id);
