-- A row exactly one gap after the last one still belongs to the session.
-- tables: clicks
SELECT who, window_start, window_end, COUNT(*) AS n
FROM TABLE(SESSION(TABLE clicks PARTITION BY who, DESCRIPTOR(ts), INTERVAL '40' SECOND))
GROUP BY who, window_start, window_end;
