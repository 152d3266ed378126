-- The last minute.
-- tables: clicks
SELECT id, who, SUM(ms) OVER (PARTITION BY who ORDER BY ts RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) AS s FROM clicks;
