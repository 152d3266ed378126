-- Types of sums, products, quotients and remainders.
-- tables: numbers
SELECT id, t + s AS ts, i + b AS ib, t * 2 AS t2, i / 2 AS ih, -i AS neg, d + e AS de, d * e AS dm, d - 1 AS d1, i + d AS id_, f + x AS fx, f * i AS fi, x / 4 AS xq, d + f AS df FROM numbers WHERE id >= 2;
