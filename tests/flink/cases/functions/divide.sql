-- Division: integers cut, decimals widen.
-- tables: numbers
SELECT id, i / t AS it, b / s AS bs, d / e AS de, d / t AS dt, x / f AS xf, d / 3 AS d3, MOD(i, t) AS m, MOD(b, s) AS mb FROM numbers WHERE id >= 3;
