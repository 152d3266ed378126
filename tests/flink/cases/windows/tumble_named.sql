-- Named arguments and an offset.
-- tables: events
SELECT window_start, window_end, SUM(v) AS s, COUNT(DISTINCT k) AS ks
FROM TABLE(TUMBLE(DATA => TABLE events, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' MINUTE, `OFFSET` => INTERVAL '7' SECOND))
GROUP BY window_start, window_end;
