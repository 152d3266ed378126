-- A window over a temporal join.
-- tables: orders rates
CREATE VIEW priced AS SELECT o.ts AS ts, o.amount * r.rate AS eur FROM orders o JOIN rates FOR SYSTEM_TIME AS OF o.ts AS r ON o.currency = r.currency;
SELECT window_start, SUM(eur) AS eur, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE priced, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
