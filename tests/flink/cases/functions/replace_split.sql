-- Replacing and splitting.
-- tables: texts
SELECT id, REPLACE(s, 'a', 'ZZ') AS r, SPLIT_INDEX(s, ',', 0) AS s0, SPLIT_INDEX(s, ',', 2) AS s2, SPLIT_INDEX(s, '.', 1) AS s1, SPLIT_INDEX(s, ',', -1) AS sm,
  TRANSLATE(s, 'abc', 'xy') AS tr, CONCAT(s, '!', 'x') AS c, CONCAT_WS('-', s, CAST(NULL AS STRING), 'z') AS cw, s || '?' AS cc FROM texts;
