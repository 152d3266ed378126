-- The sum of integers wraps around in its own type.
-- tables: numbers
SELECT SUM(i) AS si, SUM(b) AS sb, SUM(t) AS st FROM (SELECT i, b, t FROM numbers WHERE id = 0 UNION ALL SELECT i, b, t FROM numbers WHERE id = 0);
