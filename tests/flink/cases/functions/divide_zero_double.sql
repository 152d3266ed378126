-- A double divided by zero.
-- tables: numbers
SELECT id, x / f AS q, (x + 1) / f AS r FROM numbers WHERE id = 2;
