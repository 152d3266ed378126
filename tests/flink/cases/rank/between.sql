-- Ranks from two to four.
-- tables: orders
SELECT currency, order_id, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY currency ORDER BY amount) AS rn FROM orders) WHERE rn BETWEEN 2 AND 4;
