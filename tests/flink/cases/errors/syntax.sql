-- A word that does not belong there.
-- tables: orders
SELECT order_id FROM orders WERE order_id > 1;
