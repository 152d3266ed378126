-- NULLS in descending order, and NULLS LAST where it is asked for.
-- tables: events
SELECT id, v, rn FROM (SELECT id, v, ROW_NUMBER() OVER (ORDER BY v DESC NULLS LAST, id DESC) AS rn FROM (SELECT DISTINCT id, v FROM events)) WHERE rn <= 12;
