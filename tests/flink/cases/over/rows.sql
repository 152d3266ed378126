-- OVER with the last three rows.
-- tables: clicks
SELECT id, who, ms, SUM(ms) OVER (PARTITION BY who ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS s FROM clicks;
