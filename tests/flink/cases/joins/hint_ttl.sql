-- State kept for each side by hint; nothing expires in this run.
-- tables: orders payments
SELECT /*+ STATE_TTL('o' = '1d', 'p' = '2d') */ o.order_id, p.pay_id FROM orders o JOIN payments p ON o.order_id = p.order_id;
