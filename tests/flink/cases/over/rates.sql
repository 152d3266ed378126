-- An expression over an OVER aggregate.
-- tables: ticks
SELECT symbol, ts, price, price - AVG(price) OVER (PARTITION BY symbol ORDER BY ts ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS off FROM ticks;
