-- DATE_FORMAT with Java's patterns.
-- tables: moments
SELECT id, DATE_FORMAT(t, 'yyyy-MM-dd HH:mm:ss.SSS') AS a, DATE_FORMAT(t, 'yy/M/d H:m') AS b, DATE_FORMAT(t, 'EEE, MMM d') AS c, DATE_FORMAT(t, 'hh:mm a') AS d, DATE_FORMAT(t, 'DDD') AS e, DATE_FORMAT(t, '''day'' dd') AS f FROM moments;
