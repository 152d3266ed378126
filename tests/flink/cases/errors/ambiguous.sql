-- A name that two inputs have.
-- tables: orders payments
SELECT order_id FROM orders o JOIN payments p ON o.order_id = p.order_id;
