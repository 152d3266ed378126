-- Both sides update.
-- tables: orders payments
SELECT o.order_id, o.amount, p.total, p.n FROM orders o LEFT JOIN (
  SELECT order_id, SUM(paid) AS total, COUNT(*) AS n FROM payments GROUP BY order_id) p ON o.order_id = p.order_id;
