-- A table that is there already.
CREATE TABLE t (id INT) WITH ('connector' = 'datagen');
CREATE TABLE t (id INT) WITH ('connector' = 'datagen');
SELECT * FROM t;
