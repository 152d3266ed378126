-- LISTAGG with retraction.
-- tables: accounts
SELECT region, LISTAGG(CAST(id AS STRING)) AS ids FROM accounts WHERE region <> 'n' GROUP BY region;
