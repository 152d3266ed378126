-- A window over a union: the watermark is the smaller one.
-- tables: orders payments
CREATE VIEW both_ AS SELECT ts, amount AS m, 'o' AS w FROM orders UNION ALL SELECT ts, paid, 'p' FROM payments;
SELECT window_start, w, SUM(m) AS s FROM TABLE(TUMBLE(TABLE both_, DESCRIPTOR(ts), INTERVAL '5' MINUTE)) GROUP BY window_start, window_end, w;
