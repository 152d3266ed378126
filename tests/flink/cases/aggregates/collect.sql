-- COLLECT gives a multiset; ARRAY_AGG an array.
-- tables: nested
SELECT MOD(id, 5) AS m, ARRAY_AGG(id) AS ids, COLLECT(id) AS c FROM nested WHERE id < 5 GROUP BY MOD(id, 5);
