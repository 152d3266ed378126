-- The common aggregates with nulls and duplicates.
-- tables: events
SELECT k, COUNT(*) AS n, COUNT(v) AS nv, SUM(v) AS s, AVG(v) AS a, MIN(v) AS lo, MAX(v) AS hi, SUM(d) AS sd, AVG(d) AS ad, MIN(ts) AS t0 FROM events GROUP BY k;
