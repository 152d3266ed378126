-- FIRST_VALUE, LAST_VALUE.
-- tables: clicks
SELECT who, FIRST_VALUE(page) AS f, LAST_VALUE(page) AS l, LAST_VALUE(id) AS li FROM clicks GROUP BY who;
