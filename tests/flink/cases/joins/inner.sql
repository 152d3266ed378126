-- Regular inner join; null keys meet nothing, duplicates multiply.
-- tables: orders customers
SELECT o.order_id, o.amount, c.name, c.city FROM orders AS o JOIN customers AS c ON o.customer = c.id;
