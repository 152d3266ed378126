-- VALUES with mixed types and names.
SELECT a, b, c FROM (VALUES (1, 'x', 1.5), (2, 'yyy', 22.25), (3, CAST(NULL AS STRING), 0)) AS v(a, b, c);
