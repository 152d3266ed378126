CREATE TABLE cities (name STRING, country STRING, people INT)
WITH ('connector' = 'filesystem', 'path' = '${data}/cities.csv', 'format' = 'csv',
  'csv.field-delimiter' = ';', 'csv.null-literal' = '');
