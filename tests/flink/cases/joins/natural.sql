-- NATURAL JOIN.
-- tables: orders payments
SELECT order_id, amount, paid FROM (SELECT order_id, amount FROM orders) NATURAL JOIN (SELECT order_id, paid FROM payments);
