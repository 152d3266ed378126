-- Window semi join by IN, anti join by NOT EXISTS.
-- tables: orders payments
SELECT order_id, window_start FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) o
WHERE o.order_id IN (SELECT p.order_id FROM (SELECT * FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) p
  WHERE o.window_start = p.window_start AND o.window_end = p.window_end);
