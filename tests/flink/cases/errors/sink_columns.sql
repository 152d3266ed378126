-- Too few columns for the sink.
-- tables: orders
CREATE TABLE out_ (a STRING, b INT) WITH ('connector' = 'print');
INSERT INTO out_ SELECT currency FROM orders;
