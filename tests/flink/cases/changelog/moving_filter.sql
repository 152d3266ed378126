-- DISTINCT with FILTER over rows that are taken back.
-- tables: events
SELECT COUNT(DISTINCT v) FILTER (WHERE n > 3) AS a, SUM(DISTINCT v) AS b, COUNT(*) FILTER (WHERE v IS NULL) AS c, MAX(t) AS t
FROM (SELECT MOD(id, 40) AS m, LAST_VALUE(v) AS v, COUNT(*) AS n, MAX(CAST(ts AS TIMESTAMP(0))) AS t FROM events GROUP BY MOD(id, 40));
