-- The inner half of Nexmark q7: number and highest price of bids in each 10 seconds.
CREATE TABLE result (ws TIMESTAMP(3), bids BIGINT, price BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO result
SELECT window_start, COUNT(*), MAX(price)
FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND))
GROUP BY window_start, window_end;
