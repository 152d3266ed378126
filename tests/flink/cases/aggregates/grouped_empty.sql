-- No row, no group.
-- tables: nothing
SELECT k, COUNT(*) AS n FROM nothing GROUP BY k;
