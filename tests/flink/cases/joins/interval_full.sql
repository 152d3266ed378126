-- Interval join, full.
-- tables: orders payments
SELECT o.order_id, p.pay_id FROM orders o FULL JOIN payments p
ON o.order_id = p.order_id AND o.ts >= p.ts - INTERVAL '10' SECOND AND o.ts < p.ts + INTERVAL '5' SECOND;
