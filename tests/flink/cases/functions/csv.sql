-- Reading CSV with quotes and nulls.
-- tables: cities
SELECT name, country, people, CHAR_LENGTH(country) AS n FROM cities;
