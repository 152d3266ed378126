-- Without GROUP BY, also over no row.
-- tables: events
SELECT COUNT(*) AS n, SUM(v) AS s, AVG(d) AS a, MAX(k) AS k FROM events;
