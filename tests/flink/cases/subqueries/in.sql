-- IN with a subquery.
-- tables: orders customers
SELECT order_id FROM orders WHERE customer IN (SELECT id FROM customers WHERE city = 'Oslo');
