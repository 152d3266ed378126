-- LIKE, SIMILAR TO, escapes.
-- tables: texts
SELECT id, s LIKE 'a%' AS a, s LIKE '_oo%' AS b, s NOT LIKE '%,%' AS c, s LIKE '%\%%' ESCAPE '\' AS d, s SIMILAR TO '(foo|Abc)%' AS e FROM texts;
