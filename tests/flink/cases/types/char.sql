-- CHAR and VARCHAR: comparison, concatenation, length.
SELECT CAST('ab' AS CHAR(4)) AS a, CAST('ab' AS CHAR(4)) || '|' AS b, CHAR_LENGTH(CAST('ab' AS CHAR(4))) AS n, CAST('ab' AS CHAR(4)) = 'ab' AS e, CAST('abcdef' AS VARCHAR(3)) || 'x' AS v, UPPER(CAST('q' AS CHAR(2))) AS u;
