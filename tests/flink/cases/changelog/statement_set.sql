-- Two sinks in one job.
-- tables: orders
CREATE TABLE sink1 (id INT, amount DECIMAL(10, 2)) WITH ('connector' = 'print', 'print-identifier' = 'sink1');
CREATE TABLE sink2 (currency STRING, n BIGINT) WITH ('connector' = 'print', 'print-identifier' = 'sink2');
EXECUTE STATEMENT SET BEGIN
INSERT INTO sink1 SELECT order_id, amount FROM orders WHERE amount > 900;
INSERT INTO sink2 SELECT currency, COUNT(*) FROM orders GROUP BY currency;
END;
