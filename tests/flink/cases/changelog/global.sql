-- A global aggregate over a changelog.
-- tables: accounts
SELECT COUNT(*) AS n, MIN(balance) AS lo, MAX(owner) AS o, COUNT(DISTINCT region) AS r FROM accounts;
