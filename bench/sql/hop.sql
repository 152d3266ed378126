-- The inner half of Nexmark q5: bids on each auction in 10 seconds, every 2 seconds.
CREATE TABLE result (auction BIGINT, bids BIGINT, ws TIMESTAMP(3)) WITH ('connector' = 'blackhole');
INSERT INTO result
SELECT auction, COUNT(*), window_start
FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
GROUP BY auction, window_start, window_end;
