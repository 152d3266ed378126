-- GROUPING SETS without a window.
-- tables: events
SELECT k, ok, COUNT(*) AS n, GROUPING(k) AS gk, GROUPING(ok) AS go, GROUPING_ID(k, ok) AS g FROM events GROUP BY GROUPING SETS ((k), (ok), (k, ok), ());
