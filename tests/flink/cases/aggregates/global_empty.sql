-- No row at all gives one row.
-- tables: nothing
SELECT COUNT(*) AS n, SUM(v) AS s, MAX(k) AS k FROM nothing;
