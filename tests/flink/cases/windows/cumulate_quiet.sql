-- Steps in which a key is quiet give its result again.
-- tables: clicks
SELECT window_start, window_end, who, COUNT(*) AS n, COUNT(DISTINCT page) AS pages
FROM TABLE(CUMULATE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
GROUP BY window_start, window_end, who;
