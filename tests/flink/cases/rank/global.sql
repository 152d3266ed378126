-- Top-5 of everything.
-- tables: orders
SELECT order_id, amount, rn FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY amount DESC) AS rn FROM orders) WHERE rn <= 5;
