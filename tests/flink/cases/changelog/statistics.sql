-- Variance with retraction.
-- tables: accounts
SELECT region, VAR_POP(balance) AS v, STDDEV_SAMP(balance) AS s FROM accounts GROUP BY region;
