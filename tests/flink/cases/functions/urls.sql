-- URLs and key-value strings.
-- tables: texts
SELECT id, PARSE_URL(s, 'HOST') AS h, PARSE_URL(s, 'PATH') AS p, PARSE_URL(s, 'QUERY', 'k') AS k, PARSE_URL(s, 'REF') AS r, URL_ENCODE(s) AS e, URL_DECODE('a%20b') AS d FROM texts WHERE id > 12;
