-- Each row comes once for each window that holds it.
-- tables: clicks
SELECT id, window_start, window_end FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)) WHERE id < 20;
