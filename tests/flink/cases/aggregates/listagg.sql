-- LISTAGG in order of arrival.
-- tables: clicks
SELECT who, LISTAGG(page) AS pages, LISTAGG(page, '|') AS bars FROM clicks WHERE id < 60 GROUP BY who;
