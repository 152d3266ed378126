-- Without a frame: RANGE from the beginning.
-- tables: events
SELECT id, k, SUM(v) OVER (PARTITION BY k ORDER BY ts) AS s, COUNT(v) OVER (PARTITION BY k ORDER BY ts) AS n FROM events;
