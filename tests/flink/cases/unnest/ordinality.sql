-- WITH ORDINALITY.
-- tables: nested
SELECT id, tag, pos FROM nested CROSS JOIN UNNEST(tags) WITH ORDINALITY AS t(tag, pos);
