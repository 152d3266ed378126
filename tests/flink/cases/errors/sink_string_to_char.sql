-- A STRING is not cast to CHAR by itself.
-- tables: texts
CREATE TABLE out_ (id INT, c CHAR(4)) WITH ('connector' = 'print');
INSERT INTO out_ SELECT id, s FROM texts;
