-- All rows so far; several aggregates on one window.
-- tables: clicks
SELECT id, COUNT(*) OVER w AS n, AVG(ms) OVER w AS a, MIN(ms) OVER w AS lo, MAX(page) OVER w AS p FROM clicks
WINDOW w AS (PARTITION BY who ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
