-- Reluctant quantifier.
-- tables: ticks
SELECT * FROM ticks MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts
  MEASURES A.ts AS t0, C.ts AS t1, SUM(B.volume) AS vol
  ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A B*? C) DEFINE A AS A.volume = 1, C AS C.volume >= 7);
