-- A column that is not grouped.
-- tables: orders
SELECT currency, amount FROM orders GROUP BY currency;
