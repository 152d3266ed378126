-- Types of the results for each numeric type.
-- tables: numbers
SELECT SUM(t) AS st, SUM(s) AS ss, SUM(i) AS si, SUM(f) AS sf, SUM(x) AS sx, SUM(d) AS sd, SUM(e) AS se, AVG(t) AS at_, AVG(s) AS as_, AVG(i) AS ai, AVG(b) AS ab,
  AVG(f) AS af, AVG(x) AS ax, AVG(d) AS ad, AVG(e) AS ae, MIN(t) AS mt, MAX(w) AS mw FROM numbers WHERE id >= 2;
