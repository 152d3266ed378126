-- A changelog with primary key on one side.
-- tables: accounts customers
SELECT a.id, a.owner, a.balance, c.name FROM accounts a LEFT JOIN customers c ON LOWER(c.name) = a.owner;
