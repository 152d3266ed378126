-- UNION and UNION ALL of updating inputs.
-- tables: events clicks
SELECT n FROM (SELECT k, COUNT(*) AS n FROM events GROUP BY k) UNION SELECT n FROM (SELECT who, COUNT(*) AS n FROM clicks GROUP BY who);
