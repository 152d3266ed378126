-- The largest count of each window, in the shape of Nexmark q5.
-- tables: clicks
SELECT window_start, window_end, MAX(n) AS top
FROM (SELECT window_start, window_end, who, COUNT(*) AS n
  FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE))
  GROUP BY window_start, window_end, who)
GROUP BY window_start, window_end;
