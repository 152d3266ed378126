-- Null into NOT NULL: an error by default.
-- tables: events
CREATE TABLE out_ (id INT NOT NULL, v INT NOT NULL) WITH ('connector' = 'print');
INSERT INTO out_ SELECT id, v FROM events;
