-- Right join.
-- tables: orders payments
SELECT o.order_id, p.pay_id, p.paid FROM orders o RIGHT JOIN payments p ON o.order_id = p.order_id AND p.paid > 50;
