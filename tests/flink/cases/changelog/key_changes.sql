-- Grouped by a column that updates change.
-- tables: accounts
SELECT balance / 50 AS band, COUNT(*) AS n, MIN(id) AS lo FROM accounts GROUP BY balance / 50;
