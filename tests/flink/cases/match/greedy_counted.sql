-- A greedy variable without a condition takes what the next one needs: no match in Flink.
-- tables: ticks
SELECT * FROM ticks MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts
  MEASURES A.price AS p0, B.price AS p1, B.ts AS t1
  ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A X{0,2} B)
  DEFINE B AS B.price >= A.price + 3);
