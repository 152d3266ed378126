-- LAG and LEAD of earlier rows.
-- tables: clicks
SELECT id, who, LAG(page) OVER (PARTITION BY who ORDER BY ts) AS before, LAG(ms, 2, -1) OVER (PARTITION BY who ORDER BY ts) AS two FROM clicks;
