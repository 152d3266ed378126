-- Types of literals, and of what they become together.
SELECT 1 AS a, 1.5 AS b, 1e3 AS c, 'x' AS d, DATE '2024-02-29' AS e, TIME '12:34:56' AS f, TIMESTAMP '2024-02-29 12:34:56.789' AS g, INTERVAL '5' MINUTE AS h, X'0aff' AS i, TRUE AS j, CAST(NULL AS INT) AS k, 10000000000 AS l, 0.00001 AS m;
