-- COUNT DISTINCT of several columns.
-- tables: events
SELECT ok, COUNT(DISTINCT k) AS ks, COUNT(DISTINCT v) AS vs FROM events GROUP BY ok;
