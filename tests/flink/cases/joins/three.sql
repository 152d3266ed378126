-- Three-way join.
-- tables: orders payments customers
SELECT c.name, o.order_id, p.paid FROM orders o JOIN payments p ON o.order_id = p.order_id JOIN customers c ON c.id = o.customer;
