-- Building JSON.
-- tables: texts
SELECT id, JSON_OBJECT('id' VALUE id, 's' VALUE s, 'x' VALUE x ABSENT ON NULL) AS o, JSON_ARRAY(id, s, n NULL ON NULL) AS a, JSON_STRING(s) AS js, JSON_OBJECT(KEY 'k' VALUE JSON_ARRAY(1, 2)) AS k FROM texts WHERE id < 20;
