-- Aggregate over an outer join.
-- tables: orders payments
SELECT o.currency, COUNT(*) AS n, COUNT(p.pay_id) AS paid, SUM(p.paid) AS s, MIN(p.paid) AS lo
FROM orders o LEFT JOIN payments p ON o.order_id = p.order_id GROUP BY o.currency;
