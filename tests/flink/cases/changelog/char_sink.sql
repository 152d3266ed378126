-- Strings that are too long for the sink are kept, trimmed or refused by a setting; here: trimmed and padded.
-- tables: texts
SET 'table.exec.sink.type-length-enforcer' = 'TRIM_PAD';
CREATE TABLE out_ (id INT, c CHAR(4), v VARCHAR(3)) WITH ('connector' = 'print');
INSERT INTO out_ SELECT id, CAST(s AS CHAR(6)), CAST(s AS VARCHAR(6)) FROM texts WHERE id < 12;
