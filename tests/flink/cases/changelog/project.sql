-- The key is projected away.
-- tables: accounts
SELECT region, balance FROM accounts WHERE region <> 's';
