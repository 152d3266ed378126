-- A temporal join against a table without key.
-- tables: orders rate_log
SELECT o.order_id, r.rate FROM orders o JOIN rate_log FOR SYSTEM_TIME AS OF o.ts AS r ON o.currency = r.currency;
