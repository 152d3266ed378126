-- JSON_QUERY, JSON_EXISTS, IS JSON.
-- tables: texts
SELECT id, JSON_QUERY(s, '$.a') AS a, JSON_QUERY(s, '$.a.b[*].c' WITH WRAPPER) AS b, JSON_EXISTS(s, '$.a.b') AS e, JSON_EXISTS(s, '$.n') AS n, s IS JSON AS j, s IS JSON OBJECT AS o, s IS JSON ARRAY AS ar, s IS JSON SCALAR AS sc FROM texts;
