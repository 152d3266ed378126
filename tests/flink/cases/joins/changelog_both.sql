-- Changelogs on both sides.
-- tables: accounts
SELECT a.id AS x, b.id AS y, a.region FROM accounts a JOIN accounts b ON a.region = b.region AND a.id < b.id AND a.balance = b.balance;
