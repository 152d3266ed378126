-- Sorting an endless stream by something else than time.
-- tables: orders
SELECT * FROM orders ORDER BY amount;
