-- DISTINCT in aggregates, with FILTER.
-- tables: events
SELECT k, COUNT(DISTINCT v) AS dv, SUM(DISTINCT v) AS sv, COUNT(DISTINCT v) FILTER (WHERE ok) AS fv, COUNT(*) FILTER (WHERE v > 50) AS big FROM events GROUP BY k;
