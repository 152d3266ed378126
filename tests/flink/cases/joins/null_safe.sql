-- IS NOT DISTINCT FROM: nulls meet.
-- tables: customers
SELECT a.id, b.id AS other, a.city FROM customers a JOIN customers b ON a.city IS NOT DISTINCT FROM b.city;
