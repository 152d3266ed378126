-- A scalar subquery with more than one row.
-- tables: orders
SELECT order_id FROM orders WHERE amount > (SELECT amount FROM orders);
