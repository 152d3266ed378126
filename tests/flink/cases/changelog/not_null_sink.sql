-- Null into NOT NULL: dropped by setting.
-- tables: events
SET 'table.exec.sink.not-null-enforcer' = 'DROP';
CREATE TABLE out_ (id INT NOT NULL, v INT NOT NULL) WITH ('connector' = 'print');
INSERT INTO out_ SELECT id, v FROM events WHERE id < 40;
