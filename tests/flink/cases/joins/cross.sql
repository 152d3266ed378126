-- Cross join of two small inputs.
-- tables: customers cities
SELECT c.id, t.name FROM customers c CROSS JOIN cities t;
