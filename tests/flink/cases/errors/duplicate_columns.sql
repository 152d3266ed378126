-- A table with a column twice.
CREATE TABLE t (a INT, b INT, a STRING) WITH ('connector' = 'datagen');
SELECT * FROM t;
