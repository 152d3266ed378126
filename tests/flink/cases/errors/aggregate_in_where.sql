-- An aggregate in WHERE.
-- tables: orders
SELECT currency FROM orders WHERE SUM(amount) > 3 GROUP BY currency;
