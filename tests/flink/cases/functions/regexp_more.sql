-- Counting and positions of matches.
-- tables: texts
SELECT id, REGEXP_COUNT(s, '[a-c]') AS c, REGEXP_INSTR(s, '[0-9]') AS i, REGEXP_SUBSTR(s, '[0-9]+') AS ss, REGEXP_EXTRACT_ALL(s, '([a-z])', 1) AS a FROM texts;
