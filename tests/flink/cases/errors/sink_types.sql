-- A type that the sink's column does not take.
-- tables: orders
CREATE TABLE out_ (a BOOLEAN) WITH ('connector' = 'print');
INSERT INTO out_ SELECT ts FROM orders;
