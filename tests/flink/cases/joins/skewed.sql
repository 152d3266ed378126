-- Many rows of one key on both sides, counted.
-- tables: events clicks
SELECT e.k, c.who, COUNT(*) AS n, SUM(e.v + c.ms) AS s FROM events e JOIN clicks c ON MOD(e.id, 3) = MOD(c.id, 3) GROUP BY e.k, c.who;
