-- NOT IN where the subquery has a null: no row is left.
-- tables: orders customers
SELECT order_id FROM orders WHERE customer NOT IN (SELECT id FROM customers);
