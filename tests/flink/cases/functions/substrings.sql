-- SUBSTRING with positions before and after the text.
-- tables: texts
SELECT id, SUBSTRING(s FROM 2) AS a, SUBSTRING(s FROM 2 FOR 3) AS b, SUBSTRING(s, -3) AS c, SUBSTRING(s, -3, 2) AS d, SUBSTRING(s, 0, 2) AS e, SUBSTRING(s, 99) AS f,
  POSITION('a' IN s) AS p, LOCATE('b', s) AS lo, LOCATE('b', s, 3) AS lo3, INSTR(s, 'c') AS ins, OVERLAY(s PLACING '##' FROM 2) AS o FROM texts;
