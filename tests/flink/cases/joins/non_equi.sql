-- No equality at all.
-- tables: customers cities
SELECT c.id, t.name, t.people FROM customers c JOIN cities t ON c.id * 500000 < t.people;
