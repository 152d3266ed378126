-- A watermark on a column that is not there.
CREATE TABLE bad (id INT, WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen');
SELECT * FROM bad;
