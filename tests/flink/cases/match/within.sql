-- A pattern that has to end within ten seconds.
-- tables: ticks
SELECT * FROM ticks MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts
  MEASURES A.price AS p0, B.price AS p1, B.ts AS t1
  ONE ROW PER MATCH AFTER MATCH SKIP TO NEXT ROW PATTERN (A X*? B) WITHIN INTERVAL '10' SECOND
  DEFINE B AS B.price >= A.price + 3);
