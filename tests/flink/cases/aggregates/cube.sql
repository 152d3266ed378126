-- CUBE.
-- tables: events
SELECT k, ok, SUM(v) AS s FROM events GROUP BY CUBE (k, ok);
