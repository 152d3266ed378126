-- SELECT DISTINCT over rows that are taken back.
-- tables: events
SELECT DISTINCT n FROM (SELECT MOD(id, 23) AS m, COUNT(*) AS n FROM events GROUP BY MOD(id, 23));
