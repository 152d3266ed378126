-- EXCEPT ALL.
-- tables: orders customers
SELECT customer FROM orders EXCEPT ALL SELECT id FROM customers;
