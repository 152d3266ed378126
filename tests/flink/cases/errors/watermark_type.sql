-- A watermark on a column that is no time.
CREATE TABLE bad (id INT, WATERMARK FOR id AS id) WITH ('connector' = 'datagen');
SELECT * FROM bad;
