-- DISTINCT and FILTER with retraction.
-- tables: accounts
SELECT region, COUNT(DISTINCT owner) AS o, COUNT(DISTINCT balance) FILTER (WHERE balance > 0) AS b, SUM(DISTINCT balance) AS s FROM accounts GROUP BY region;
