-- Times and intervals.
-- tables: moments
SELECT id, t + INTERVAL '1' DAY AS a, t - INTERVAL '90' MINUTE AS b, t + INTERVAL '1' MONTH AS c, d + INTERVAL '1' YEAR AS e, t + INTERVAL '1 02:03:04.5' DAY TO SECOND AS f, TIMESTAMPADD(HOUR, 30, t) AS g, TIMESTAMPADD(MONTH, -1, d) AS h,
  t - INTERVAL '1-2' YEAR TO MONTH AS k FROM moments;
