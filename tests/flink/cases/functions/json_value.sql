-- JSON_VALUE, with types and defaults.
-- tables: texts
SELECT id, JSON_VALUE(s, '$.a.b[0]') AS a, JSON_VALUE(s, '$.a.b[1]' RETURNING INTEGER) AS b, JSON_VALUE(s, '$.none' DEFAULT 'd' ON EMPTY) AS c, JSON_VALUE(s, 'lax $.n' NULL ON EMPTY) AS d FROM texts WHERE s LIKE '{%' OR s LIKE '[%';
