-- The second one alone.
-- tables: orders
SELECT currency, order_id, amount FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY currency ORDER BY amount DESC) AS rn FROM orders) WHERE rn = 2;
