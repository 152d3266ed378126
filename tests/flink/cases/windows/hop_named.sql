-- Sliding windows with named arguments.
-- tables: clicks
SELECT window_start, window_end, who, MAX(ms) AS m, MIN(page) AS p
FROM TABLE(HOP(DATA => TABLE clicks, TIMECOL => DESCRIPTOR(ts), SLIDE => INTERVAL '1' MINUTE, SIZE => INTERVAL '3' MINUTE))
GROUP BY window_start, window_end, who;
