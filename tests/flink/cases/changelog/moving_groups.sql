-- Rows that move between groups with every update: minima and maxima are lost and found.
-- tables: events
SELECT g, COUNT(*) AS n, MIN(v) AS lo, MAX(v) AS hi, SUM(v) AS s, AVG(w) AS a, COUNT(DISTINCT v) AS dv, MIN(k) AS k0
FROM (SELECT k, LAST_VALUE(v) AS v, MIN(w) AS w, MOD(COUNT(*), 3) AS g FROM events GROUP BY k) GROUP BY g;
