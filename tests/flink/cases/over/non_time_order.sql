-- Ordered by a column that is no time.
-- tables: accounts
SELECT id, region, SUM(balance) OVER (PARTITION BY region ORDER BY id) AS s FROM accounts;
