-- ROW, ARRAY and MAP constructors and their types.
SELECT ROW(1, 'x', 2.5) AS r, ARRAY[1, 2, 3] AS a, ARRAY['x', 'yy'] AS s, MAP['k', 1] AS m, ARRAY[ROW(1, 'a'), ROW(2, 'b')] AS ar, CAST(ROW(1, 'x') AS ROW<a BIGINT, b STRING>) AS c;
