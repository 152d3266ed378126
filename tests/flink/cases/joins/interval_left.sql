-- Interval join, left: padded when the watermark has passed.
-- tables: orders payments
SELECT o.order_id, p.pay_id FROM orders o LEFT JOIN payments p
ON o.order_id = p.order_id AND p.ts BETWEEN o.ts - INTERVAL '1' SECOND AND o.ts + INTERVAL '10' SECOND;
