-- FILTER and DISTINCT in windows.
-- tables: events
SELECT window_start, COUNT(*) FILTER (WHERE ok) AS oks, COUNT(DISTINCT k) FILTER (WHERE v > 10) AS ks,
  SUM(DISTINCT v) AS sd, COUNT(*) FILTER (WHERE k IS NULL) AS nulls
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;
