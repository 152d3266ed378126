-- USING gives the column once.
-- tables: orders payments
SELECT order_id, amount, paid FROM orders JOIN payments USING (order_id);
