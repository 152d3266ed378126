-- A window over a column that is no time attribute.
-- tables: customers
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE customers, DESCRIPTOR(since), INTERVAL '1' DAY)) GROUP BY window_start, window_end;
