-- Optional and counted variables.
-- tables: ticks
SELECT * FROM ticks MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts
  MEASURES FIRST(A.price) AS a, LAST(A.price) AS z, B.volume AS v, C.ts AS t
  ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A{2,3} B? C)
  DEFINE A AS A.volume > 4, B AS B.volume < 3, C AS C.price > 10);
