-- Regular expressions.
-- tables: texts
SELECT id, REGEXP(s, '^[a-z]+$') AS r, REGEXP_EXTRACT(s, '([a-z]+)\.([a-z]+)', 2) AS e, REGEXP_EXTRACT(s, '([0-9]+)') AS e0, REGEXP_REPLACE(s, '[aeiou]', '_') AS rr FROM texts;
