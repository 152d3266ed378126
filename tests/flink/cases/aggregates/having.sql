-- HAVING: groups come and go.
-- tables: events
SELECT k, SUM(v) AS s FROM events GROUP BY k HAVING SUM(v) BETWEEN 100 AND 900;
