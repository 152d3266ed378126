-- ROLLUP.
-- tables: events
SELECT k, ok, SUM(v) AS s FROM events GROUP BY ROLLUP (k, ok);
