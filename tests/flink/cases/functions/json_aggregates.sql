-- JSON aggregates, one row a group.
SELECT g, JSON_OBJECTAGG(KEY k VALUE v) AS o, JSON_ARRAYAGG(v) AS a FROM (VALUES ('x', 'k1', 1), ('y', 'k2', 2)) AS t(g, k, v) GROUP BY g;
