-- Conditions with nulls.
-- tables: texts
SELECT id, COALESCE(n, -1) AS c, NULLIF(n, 7) AS ni, IF(n > 0, 'pos', 'not') AS i, IFNULL(s, 'none') AS f, CASE WHEN n > 0 THEN 1 WHEN n < 0 THEN -1 END AS k, CASE n WHEN 1 THEN 'one' WHEN 7 THEN 'seven' ELSE 'other' END AS w,
  GREATEST(n, id) AS g, LEAST(n, id) AS l, n IS NULL AS isn, n = 7 OR x IS NOT NULL AS o, n > 0 AND x > 0 AS an, NOT (n > 0) AS nt FROM texts;
