-- A text that does not end.
SELECT 'abc FROM orders;
