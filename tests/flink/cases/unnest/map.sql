-- A map gives key and value.
-- tables: nested
SELECT id, name, val FROM nested CROSS JOIN UNNEST(attrs) AS t(name, val);
