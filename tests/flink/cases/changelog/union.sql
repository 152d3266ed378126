-- Changelogs in a union.
-- tables: accounts
SELECT owner AS w FROM accounts WHERE balance > 100 UNION ALL SELECT region FROM accounts WHERE balance < 0;
