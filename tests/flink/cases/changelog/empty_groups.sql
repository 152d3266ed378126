-- Groups that become empty go away.
-- tables: events
SELECT n, COUNT(*) AS groups_, SUM(s) AS s FROM (SELECT MOD(id, 17) AS m, COUNT(*) AS n, SUM(d) AS s FROM events GROUP BY MOD(id, 17)) GROUP BY n;
