-- A filter: an update can become an insert or a delete.
-- tables: accounts
SELECT id, balance FROM accounts WHERE balance > 60;
