-- One day at a time, so that a filter by day reads only the hours of that day.
CREATE OR REPLACE VIEW otel.flow_trends AS
SELECT d.day,
       s.name,
       s.flows,
       s.failed,
       s.avg_ms,
       s.quantiles[1] AS p50_ms,
       s.quantiles[2] AS p95_ms,
       s.quantiles[3] AS p99_ms,
       s.max_ms
FROM generate_series(
    date_bin('1 day', now() - interval '400 days', '2024-01-01 00:00:00+00'), now(), interval '1 day') AS d (day)
CROSS JOIN LATERAL (
    SELECT h.name,
           sum(h.count)::bigint AS flows,
           sum(h.error_count)::bigint AS failed,
           sum(h.duration_sum_ms) / sum(h.count) AS avg_ms,
           otel.latency_quantiles(
               otel.array_concat(h.latency_buckets), otel.array_concat(h.latency_counts), '{0.5, 0.95, 0.99}') AS quantiles,
           max(h.max_ms) AS max_ms
    FROM otel.hour_stats h
    WHERE h.type = 'flow' AND h.hour >= d.day AND h.hour < d.day + interval '1 day'
    GROUP BY h.name
) s;

COMMENT ON VIEW otel.flow_trends IS
    'Ended flows by name and day (UTC): number, failures, durations. From otel.hour_stats; the last 400 days. Filter '
    'by day. Flows of checkpoints only have no end: see compat.pattern_latency_trends.';
COMMENT ON COLUMN otel.flow_trends.day IS 'Start of the day, in UTC.';
COMMENT ON COLUMN otel.flow_trends.name IS 'Name of the flow.';
COMMENT ON COLUMN otel.flow_trends.flows IS 'Number of ended flows that started on this day.';
COMMENT ON COLUMN otel.flow_trends.failed IS 'Number of those that ended with an error.';
COMMENT ON COLUMN otel.flow_trends.avg_ms IS 'Mean duration in milliseconds.';
COMMENT ON COLUMN otel.flow_trends.p50_ms IS 'Median duration in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.flow_trends.p95_ms IS '95th percentile of the durations in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.flow_trends.p99_ms IS '99th percentile of the durations in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.flow_trends.max_ms IS 'Longest duration in milliseconds.';
