-- No such table.
SELECT a FROM nowhere;
