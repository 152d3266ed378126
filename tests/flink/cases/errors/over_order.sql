-- OVER that is not ordered by time.
-- tables: orders
SELECT order_id, SUM(amount) OVER (PARTITION BY currency ORDER BY amount DESC) FROM orders;
