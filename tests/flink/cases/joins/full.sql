-- Full join with another condition than equality.
-- tables: orders payments
SELECT o.order_id AS a, p.order_id AS b, o.amount, p.paid FROM orders o FULL OUTER JOIN payments p ON o.order_id = p.order_id AND p.paid < o.amount;
