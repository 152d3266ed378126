-- Aggregates take back: a minimum that goes, groups that become empty.
-- tables: accounts
SELECT region, owner, COUNT(*) AS n, SUM(balance) AS s, MIN(balance) AS lo, MAX(balance) AS hi, AVG(balance) AS a FROM accounts GROUP BY region, owner;
