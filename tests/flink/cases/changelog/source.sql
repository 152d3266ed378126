-- A Debezium log as it is.
-- tables: accounts
SELECT * FROM accounts;
