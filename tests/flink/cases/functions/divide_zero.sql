-- An integer divided by zero.
-- tables: numbers
SELECT id, i / t AS q FROM numbers WHERE id = 2;
