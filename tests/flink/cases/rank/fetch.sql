-- FETCH FIRST.
-- tables: orders
SELECT order_id, currency FROM orders ORDER BY currency, amount FETCH FIRST 4 ROWS ONLY;
