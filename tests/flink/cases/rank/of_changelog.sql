-- Top-N over a changelog with deletes.
-- tables: accounts
SELECT region, id, balance, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY region ORDER BY balance DESC, id) AS rn FROM accounts) WHERE rn <= 3;
