-- SELECT DISTINCT.
-- tables: events
SELECT DISTINCT k, ok FROM events;
