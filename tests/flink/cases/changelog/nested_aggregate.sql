-- An aggregate over an aggregate over a changelog.
-- tables: accounts
SELECT n, COUNT(*) AS owners, MAX(s) AS hi FROM (SELECT owner, COUNT(*) AS n, SUM(balance) AS s FROM accounts GROUP BY owner) GROUP BY n;
