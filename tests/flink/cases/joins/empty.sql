-- A side without rows.
-- tables: nothing orders
SELECT o.order_id, n.k FROM orders o LEFT JOIN nothing n ON n.id = o.order_id WHERE o.order_id < 10;
