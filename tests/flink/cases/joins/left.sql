-- Left join: rows without partner are padded, and taken back when one comes.
-- tables: orders payments
SELECT o.order_id, o.customer, p.pay_id, p.paid FROM orders o LEFT JOIN payments p ON o.order_id = p.order_id;
