-- A versioned view: keep-last deduplication of a log.
-- tables: orders rate_log
CREATE VIEW versioned AS SELECT currency, rate, ts FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY currency ORDER BY ts DESC) AS rn FROM rate_log) WHERE rn = 1;
SELECT o.order_id, r.rate FROM orders o LEFT JOIN versioned FOR SYSTEM_TIME AS OF o.ts AS r ON o.currency = r.currency;
