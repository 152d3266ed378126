-- Counted after UNNEST.
-- tables: nested
SELECT tag, COUNT(*) AS n, COUNT(DISTINCT id) AS ids FROM nested CROSS JOIN UNNEST(tags) AS t(tag) GROUP BY tag;
