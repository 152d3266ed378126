-- A cast that cannot be done stops the query.
-- tables: texts
SELECT id, CAST(s AS INT) AS i FROM texts;
