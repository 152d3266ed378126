-- Boolean and string keys, minimum of strings and dates.
-- tables: events
SELECT ok, MIN(k) AS k0, MAX(k) AS k1, MIN(CAST(ts AS DATE)) AS d0, MAX(CAST(ts AS TIME)) AS t1 FROM events GROUP BY ok;
