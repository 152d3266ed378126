-- Another case is another name.
-- tables: orders
SELECT Order_Id FROM orders;
