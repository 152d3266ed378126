-- An aggregate of an aggregate.
-- tables: orders
SELECT n, COUNT(*) AS customers, MIN(s) AS lo, MAX(s) AS hi FROM (SELECT customer, COUNT(*) AS n, SUM(amount) AS s FROM orders GROUP BY customer) GROUP BY n;
