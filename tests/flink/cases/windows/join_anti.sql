-- Window anti join.
-- tables: orders payments
SELECT order_id, window_start FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) o
WHERE NOT EXISTS (SELECT 1 FROM (SELECT * FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) p
  WHERE o.order_id = p.order_id AND o.window_start = p.window_start AND o.window_end = p.window_end);
