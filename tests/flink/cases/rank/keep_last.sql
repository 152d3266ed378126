-- Keep-last deduplication by event time.
-- tables: clicks
SELECT who, page, id, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who, page ORDER BY ts DESC) AS rn FROM clicks) WHERE rn = 1;
