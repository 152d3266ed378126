-- Names are case sensitive; quoted names and keywords as names.
-- tables: texts
SELECT `Name`, name, `value` FROM (SELECT id AS `Name`, s AS name, n AS `value` FROM texts) WHERE `Name` < 4;
