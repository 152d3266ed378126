-- Comma join, condition in WHERE.
-- tables: orders customers
SELECT o.order_id, c.name FROM orders o, customers c WHERE o.customer = c.id AND c.city IS NOT NULL AND o.amount > 200;
