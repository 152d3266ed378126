-- Window join.
-- tables: orders payments
SELECT o.order_id, o.amount, p.pay_id, p.paid, o.window_start
FROM (SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) o
JOIN (SELECT * FROM TABLE(TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) p
ON o.order_id = p.order_id AND o.window_start = p.window_start AND o.window_end = p.window_end;
