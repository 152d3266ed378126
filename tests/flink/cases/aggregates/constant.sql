-- Grouped by a constant and by an expression.
-- tables: events
SELECT CASE WHEN v < 0 THEN 'low' WHEN v < 50 THEN 'mid' ELSE 'rest' END AS band, COUNT(*) AS n FROM events GROUP BY CASE WHEN v < 0 THEN 'low' WHEN v < 50 THEN 'mid' ELSE 'rest' END;
