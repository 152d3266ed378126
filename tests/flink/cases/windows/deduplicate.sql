-- Window deduplication: the last click of each user and window.
-- tables: clicks
SELECT who, id, ts, window_end FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, who ORDER BY ts DESC) AS rn
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' MINUTE))) WHERE rn = 1;
