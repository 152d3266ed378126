-- SELECT DISTINCT over a changelog.
-- tables: accounts
SELECT DISTINCT owner, region FROM accounts;
