-- Exact powers and roots, bases, constants.
SELECT POWER(2, 10) AS p, SQRT(144) AS s, EXP(0) AS e, LN(1) AS lnx, LOG10(1000) AS l10, LOG2(8) AS l2, LOG(2, 32) AS lb, PI() AS pi, E() AS ee,
  DEGREES(PI()) AS dg, RADIANS(180) AS rd, BIN(4) AS b, HEX(255) AS h, HEX('abc') AS hs, SIN(0) AS si, COS(0) AS co, ATAN2(0, 1) AS at2;
