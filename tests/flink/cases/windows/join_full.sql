-- Full outer window join: both sides padded.
-- tables: orders payments
SELECT o.order_id, p.pay_id, o.window_start AS ow, p.window_start AS pw
FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) o
FULL JOIN (SELECT * FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) p
ON o.order_id = p.order_id AND o.window_start = p.window_start AND o.window_end = p.window_end;
