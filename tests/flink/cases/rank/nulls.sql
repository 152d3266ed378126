-- Where nulls stand in ascending and descending order.
-- tables: events
SELECT k, id, v, rn FROM (SELECT k, id, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v, id) AS rn FROM (SELECT DISTINCT id, k, v FROM events)) WHERE rn <= 3;
