CREATE TABLE texts (id INT, s STRING, n INT, x DOUBLE, p DECIMAL(12, 3))
WITH ('connector' = 'filesystem', 'path' = '${data}/texts.json', 'format' = 'json');
