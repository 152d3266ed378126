-- RANK leaves gaps after ties.
-- tables: events
SELECT k, v, rn FROM (SELECT k, v, RANK() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM events) WHERE rn <= 3;
