-- Interval join: a payment within 20 seconds after its order.
-- tables: orders payments
SELECT o.order_id, p.pay_id, o.ts AS ot, p.ts AS pt FROM orders o, payments p
WHERE o.order_id = p.order_id AND p.ts BETWEEN o.ts AND o.ts + INTERVAL '20' SECOND;
