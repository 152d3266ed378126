-- Too few arguments.
-- tables: orders
SELECT SUBSTRING(currency) FROM orders;
