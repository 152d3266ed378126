-- WITH used twice.
-- tables: orders
WITH big AS (SELECT * FROM orders WHERE amount > 500), n AS (SELECT currency, COUNT(*) AS n FROM big GROUP BY currency)
SELECT n.currency, n.n, b.order_id FROM n JOIN big b ON b.currency = n.currency;
