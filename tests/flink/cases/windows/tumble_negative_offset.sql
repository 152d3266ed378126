-- An offset before the epoch line.
-- tables: clicks
SELECT window_start, window_end, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '2' MINUTE, INTERVAL '-13' SECOND))
GROUP BY window_start, window_end;
