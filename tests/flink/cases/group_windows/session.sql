-- The older form of sessions.
-- tables: events
SELECT k, SESSION_START(ts, INTERVAL '12' SECOND) AS ws, SESSION_END(ts, INTERVAL '12' SECOND) AS we, COUNT(*) AS n
FROM events GROUP BY k, SESSION(ts, INTERVAL '12' SECOND);
