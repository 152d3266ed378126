-- A file sink takes no updates.
-- tables: orders
CREATE TABLE out_ (currency STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '${data}/none', 'format' = 'json');
INSERT INTO out_ SELECT currency, COUNT(*) FROM orders GROUP BY currency;
