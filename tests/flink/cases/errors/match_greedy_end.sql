-- A greedy quantifier at the end of a pattern.
-- tables: ticks
SELECT * FROM ticks MATCH_RECOGNIZE (ORDER BY ts MEASURES A.price AS p ONE ROW PER MATCH PATTERN (A B+) DEFINE A AS A.price > 3);
