-- A union of different widths.
-- tables: orders
SELECT order_id, currency FROM orders UNION ALL SELECT order_id FROM orders;
