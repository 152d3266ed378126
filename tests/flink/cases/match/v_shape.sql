-- Falling, then rising prices.
-- tables: ticks
SELECT * FROM ticks MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts
  MEASURES A.ts AS t0, LAST(DOWN.ts) AS bottom, LAST(UP.ts) AS t1, LAST(DOWN.price) AS low
  ONE ROW PER MATCH AFTER MATCH SKIP TO LAST UP PATTERN (A DOWN+ UP)
  DEFINE DOWN AS (LAST(DOWN.price, 1) IS NULL AND DOWN.price < A.price) OR DOWN.price < LAST(DOWN.price, 1),
    UP AS UP.price > LAST(DOWN.price, 1));
