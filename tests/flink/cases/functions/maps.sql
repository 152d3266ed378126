-- Map functions.
-- tables: nested
SELECT id, MAP_KEYS(attrs) AS k, MAP_VALUES(attrs) AS v, MAP_ENTRIES(attrs) AS e, MAP['a', id]['a'] AS m, MAP_FROM_ARRAYS(ARRAY['q'], ARRAY[id]) AS f FROM nested;
