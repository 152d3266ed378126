-- With mini-batch and two phases.
-- tables: events
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '1 s';
SET 'table.exec.mini-batch.size' = '100';
SET 'table.optimizer.agg-phase-strategy' = 'TWO_PHASE';
SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
SELECT k, COUNT(*) AS n, COUNT(DISTINCT v) AS dv, AVG(w) AS a FROM events GROUP BY k;
