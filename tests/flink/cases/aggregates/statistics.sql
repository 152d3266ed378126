-- Variance and standard deviation, whose sums here are exact.
-- tables: events
SELECT k, VAR_POP(v) AS vp, VAR_SAMP(v) AS vs, STDDEV_POP(v) AS sp, STDDEV_SAMP(v) AS ss FROM events GROUP BY k;
