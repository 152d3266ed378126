-- INTERSECT ALL counts.
-- tables: orders customers
SELECT customer FROM orders INTERSECT ALL SELECT id FROM customers;
