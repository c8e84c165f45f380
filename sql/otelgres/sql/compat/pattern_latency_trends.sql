-- One day at a time, so that a filter by day reads only the flows of that day. No spans are read, because the mapped
-- columns of pattern_flow_analysis are not used; a flow is named after its first checkpoint.
CREATE OR REPLACE VIEW compat.pattern_latency_trends AS
SELECT d.day,
       s.first_checkpoint,
       s.flows,
       s.avg_latency_ms,
       s.quantiles[1] AS p50_latency_ms,
       s.quantiles[2] AS p95_latency_ms,
       s.quantiles[3] AS p99_latency_ms,
       s.max_latency_ms,
       s.avg_checkpoints
FROM generate_series(
    date_bin('1 day', now() - interval '400 days', '2024-01-01 00:00:00+00'), now(), interval '1 day') AS d (day)
CROSS JOIN LATERAL (
    SELECT l.first_checkpoint,
           count(*) AS flows,
           avg(l.ms) AS avg_latency_ms,
           percentile_cont('{0.5, 0.95, 0.99}'::double precision[]) WITHIN GROUP (ORDER BY l.ms) AS quantiles,
           max(l.ms) AS max_latency_ms,
           avg(l.checkpoints)::double precision AS avg_checkpoints
    FROM (
        SELECT (w.checkpoints[1]).name AS first_checkpoint,
               cardinality(w.checkpoints) AS checkpoints,
               ((w.checkpoints[cardinality(w.checkpoints)]).time_unix_nano - w.start_time_unix_nano)::double precision / 1e6 AS ms
        FROM _otel.merged_flows w
        WHERE w.start_time >= d.day AND w.start_time < d.day + interval '1 day' AND cardinality(w.checkpoints) > 0
    ) l
    GROUP BY l.first_checkpoint
) s;

COMMENT ON VIEW compat.pattern_latency_trends IS
    'Flows that passed a checkpoint, by first checkpoint and day (UTC): number, and time from their start to their '
    'latest checkpoint. The last 400 days. Filter by day.';
COMMENT ON COLUMN compat.pattern_latency_trends.day IS 'Start of the day, in UTC.';
COMMENT ON COLUMN compat.pattern_latency_trends.first_checkpoint IS 'The first checkpoint.';
COMMENT ON COLUMN compat.pattern_latency_trends.flows IS 'Number of flows.';
COMMENT ON COLUMN compat.pattern_latency_trends.avg_latency_ms IS
    'Mean of total_latency_ms (see pattern_flow_analysis).';
COMMENT ON COLUMN compat.pattern_latency_trends.p50_latency_ms IS 'Median of total_latency_ms.';
COMMENT ON COLUMN compat.pattern_latency_trends.p95_latency_ms IS '95th percentile of total_latency_ms.';
COMMENT ON COLUMN compat.pattern_latency_trends.p99_latency_ms IS '99th percentile of total_latency_ms.';
COMMENT ON COLUMN compat.pattern_latency_trends.max_latency_ms IS 'Largest total_latency_ms.';
COMMENT ON COLUMN compat.pattern_latency_trends.avg_checkpoints IS 'Mean number of checkpoints passed.';
