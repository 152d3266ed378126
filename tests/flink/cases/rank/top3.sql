-- Top-3 with rank column.
-- tables: orders
SELECT customer, order_id, amount, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount DESC, order_id) AS rn FROM orders) WHERE rn <= 3;
