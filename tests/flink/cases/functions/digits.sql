-- IS_ALPHA, IS_DIGIT, IS_DECIMAL.
-- tables: texts
SELECT id, IS_ALPHA(s) AS a, IS_DIGIT(s) AS d, IS_DECIMAL(s) AS e FROM texts;
