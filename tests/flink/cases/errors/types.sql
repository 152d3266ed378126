-- A string and a number cannot be added to a boolean.
-- tables: orders
SELECT amount + TRUE FROM orders;
