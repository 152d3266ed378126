-- A correlated scalar subquery.
-- tables: orders payments
SELECT order_id, (SELECT SUM(paid) FROM payments p WHERE p.order_id = o.order_id) AS total FROM orders o WHERE order_id < 30;
