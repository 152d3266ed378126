-- Nullability of what is computed.
-- tables: accounts
SELECT id, id + 1 AS a, balance + 1 AS b, COALESCE(balance, 0) AS c, id IS NULL AS d, CONCAT('a', CAST(id AS STRING)) AS e FROM accounts WHERE id = 0;
