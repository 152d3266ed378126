-- A left join after a left join.
-- tables: orders payments customers
SELECT c.id, c.name, o.order_id, p.pay_id FROM customers c LEFT JOIN orders o ON o.customer = c.id LEFT JOIN payments p ON p.order_id = o.order_id;
