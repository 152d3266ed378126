-- The rate at the time of the order.
-- tables: orders rates
SELECT o.order_id, o.currency, o.amount, r.rate, CAST(o.amount * r.rate AS DECIMAL(12, 2)) AS eur
FROM orders o JOIN rates FOR SYSTEM_TIME AS OF o.ts AS r ON o.currency = r.currency;
