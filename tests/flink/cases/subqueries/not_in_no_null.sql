-- NOT IN without nulls in the subquery.
-- tables: orders customers
SELECT order_id, customer FROM orders WHERE customer NOT IN (SELECT id FROM customers WHERE id IS NOT NULL);
