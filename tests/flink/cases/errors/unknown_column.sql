-- No such column.
-- tables: orders
SELECT order_id,
  nope FROM orders;
