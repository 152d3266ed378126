-- A window over the rowtime of another one.
-- tables: events
SELECT TUMBLE_END(rt, INTERVAL '3' MINUTE) AS we, SUM(n) AS n FROM (
  SELECT TUMBLE_ROWTIME(ts, INTERVAL '30' SECOND) AS rt, COUNT(*) AS n FROM events GROUP BY TUMBLE(ts, INTERVAL '30' SECOND))
GROUP BY TUMBLE(rt, INTERVAL '3' MINUTE);
