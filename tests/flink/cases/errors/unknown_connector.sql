-- A connector that is not there.
CREATE TABLE bad (id INT) WITH ('connector' = 'nosuch');
SELECT * FROM bad;
