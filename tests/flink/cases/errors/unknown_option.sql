-- An option that the connector does not know.
CREATE TABLE bad (id INT) WITH ('connector' = 'datagen', 'nosuch' = '1');
SELECT * FROM bad;
