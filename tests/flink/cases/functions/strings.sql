-- Case, length, padding, trimming.
-- tables: texts
SELECT id, UPPER(s) AS u, LOWER(s) AS l, INITCAP(s) AS i, CHAR_LENGTH(s) AS n, LPAD(s, 6, '*') AS lp, RPAD(s, 6, '*-') AS rp, TRIM(s) AS t, LTRIM(s) AS lt, RTRIM(s) AS rt,
  REVERSE(s) AS rv, LEFT(s, 3) AS l3, RIGHT(s, 3) AS r3, REPEAT(s, 2) AS rep FROM texts;
