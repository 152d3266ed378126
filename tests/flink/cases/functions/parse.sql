-- TO_TIMESTAMP and TO_DATE; what does not parse is null.
-- tables: texts
SELECT id, TO_TIMESTAMP(s) AS t, TO_DATE(s) AS d, TO_TIMESTAMP(s, 'yyyy-MM-dd') AS p, TO_DATE('29.02.2024', 'dd.MM.yyyy') AS dd FROM texts WHERE id BETWEEN 8 AND 18;
