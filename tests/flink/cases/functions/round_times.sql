-- FLOOR and CEIL of times.
-- tables: moments
SELECT id, FLOOR(t TO MINUTE) AS m, FLOOR(t TO HOUR) AS h, FLOOR(t TO DAY) AS d, FLOOR(t TO MONTH) AS mo, FLOOR(t TO YEAR) AS y, CEIL(t TO HOUR) AS ch, CEIL(t TO MONTH) AS cm, FLOOR(t TO WEEK) AS w, FLOOR(d TO MONTH) AS dm, CEIL(d TO YEAR) AS dy FROM moments;
