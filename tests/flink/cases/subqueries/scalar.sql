-- A scalar subquery.
-- tables: orders
SELECT order_id, amount FROM orders WHERE amount > (SELECT AVG(amount) FROM orders);
