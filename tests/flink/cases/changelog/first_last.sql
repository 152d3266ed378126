-- FIRST_VALUE and LAST_VALUE with retraction.
-- tables: accounts
SELECT region, FIRST_VALUE(id) AS f, LAST_VALUE(id) AS l FROM accounts GROUP BY region;
