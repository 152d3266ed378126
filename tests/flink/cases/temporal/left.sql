-- Left: orders without a rate are kept.
-- tables: orders rates
SELECT o.order_id, o.currency, r.rate, r.ts AS since
FROM orders o LEFT JOIN rates FOR SYSTEM_TIME AS OF o.ts AS r ON o.currency = r.currency;
