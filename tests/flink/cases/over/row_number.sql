-- ROW_NUMBER of every row.
-- tables: clicks
SELECT id, ROW_NUMBER() OVER (PARTITION BY who ORDER BY ts) AS rn FROM clicks;
