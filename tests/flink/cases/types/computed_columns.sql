-- Computed and metadata-free columns, comments, a LIKE table.
-- tables: orders
CREATE TABLE more (total AS amount * 2, day_ AS CAST(ts AS DATE)) LIKE orders;
SELECT order_id, amount, total, day_ FROM more WHERE order_id < 10;
