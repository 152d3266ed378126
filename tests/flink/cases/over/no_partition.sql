-- One window for all rows.
-- tables: clicks
SELECT id, AVG(ms) OVER (ORDER BY ts ROWS BETWEEN 4 PRECEDING AND CURRENT ROW) AS a FROM clicks;
