-- An average in DEFINE.
-- tables: ticks
SELECT * FROM ticks MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts
  MEASURES FIRST(A.ts) AS t0, LAST(A.ts) AS t1, AVG(A.price) AS average, COUNT(A.price) AS n
  ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A+ B) DEFINE A AS AVG(A.price) < 40);
