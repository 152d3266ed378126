-- AVG of integers is cut towards zero; of decimals it widens.
SELECT AVG(a) AS a, AVG(b) AS b, AVG(c) AS c, SUM(c) AS s, AVG(CAST(a AS DOUBLE)) AS d FROM (VALUES (1, -2, 1.10), (2, -3, 2.25), (2, -3, 2.26)) AS v(a, b, c);
