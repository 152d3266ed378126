-- Precision and scale of decimal results.
-- tables: numbers
SELECT id, d + d AS a, d * d AS b, d / d AS c, d * 0.908 AS e1, i * 0.908 AS f1, w + d AS g, w * e AS h, MOD(d, e) AS m FROM numbers WHERE id = 4;
