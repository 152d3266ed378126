-- An aggregate over what a Top-N gives and takes back.
-- tables: orders
SELECT COUNT(*) AS n, SUM(amount) AS s, MIN(amount) AS lo FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY currency ORDER BY amount DESC) AS rn FROM orders) WHERE rn <= 4;
