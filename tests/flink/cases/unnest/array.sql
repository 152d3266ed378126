-- UNNEST of an array: empty and null arrays give no row.
-- tables: nested
SELECT id, tag FROM nested CROSS JOIN UNNEST(tags) AS t(tag);
