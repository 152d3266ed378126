-- A table without connector.
CREATE TABLE bad (id INT);
SELECT * FROM bad;
