-- Windows whose input takes rows back: a deduplicated stream, keep last.
-- tables: clicks
CREATE VIEW latest AS SELECT who, page, ms, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who, page ORDER BY ts DESC) AS rn FROM clicks) WHERE rn = 1;
SELECT window_start, window_end, COUNT(*) AS n, SUM(ms) AS ms FROM TABLE(TUMBLE(
  TABLE latest, DESCRIPTOR(ts), INTERVAL '5' MINUTE)) GROUP BY window_start, window_end;
