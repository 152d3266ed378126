-- Rounding, signs, roots and logarithms.
-- tables: texts
SELECT id, ABS(n) AS a, ABS(p) AS ap, CEIL(p) AS c, FLOOR(p) AS f, CEIL(x) AS cx, FLOOR(x) AS fx, ROUND(p, 1) AS r1, ROUND(x) AS r, ROUND(n, -1) AS rn,
  TRUNCATE(p, 1) AS t1, TRUNCATE(x, 2) AS t2, SIGN(p) AS sp, SIGN(n) AS sn, MOD(n, 7) AS m, n % 5 AS mm FROM texts;
