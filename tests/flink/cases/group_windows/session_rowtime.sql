-- SESSION_ROWTIME of a stream in order.
-- tables: clicks
SELECT who, SESSION_ROWTIME(ts, INTERVAL '1' MINUTE) AS rt, SUM(ms) AS ms FROM clicks GROUP BY who, SESSION(ts, INTERVAL '1' MINUTE);
