-- A window over an interval join: its time attribute goes on.
-- tables: orders payments
CREATE VIEW paid AS SELECT o.order_id, o.ts AS ots, p.paid FROM orders o JOIN payments p
ON o.order_id = p.order_id AND p.ts BETWEEN o.ts AND o.ts + INTERVAL '20' SECOND;
SELECT window_start, SUM(paid) AS s, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE paid, DESCRIPTOR(ots), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
