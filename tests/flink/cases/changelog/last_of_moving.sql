-- FIRST_VALUE and LAST_VALUE over rows that are taken back.
-- tables: events
SELECT g, LAST_VALUE(m) AS l, FIRST_VALUE(m) AS f FROM (SELECT MOD(id, 7) AS m, MOD(COUNT(*), 2) AS g FROM events GROUP BY MOD(id, 7)) GROUP BY g;
