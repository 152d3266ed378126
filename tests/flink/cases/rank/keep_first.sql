-- Keep-first deduplication by event time.
-- tables: clicks
-- key: who
SELECT who, id, page, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY ts) AS rn FROM clicks) WHERE rn = 1;
