-- A day at a time: a filter on the day reads the hours of that day and no others.
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
    'Flows that ended, by name and day (UTC): how many, how many failed, how long they took. From otel.hour_stats; the last 400 '
    'days. Filter by day. Flows of checkpoints alone never end: compat.pattern_latency_trends has those.';
COMMENT ON COLUMN otel.flow_trends.day IS 'Begin of the day, in UTC.';
COMMENT ON COLUMN otel.flow_trends.name IS 'Name of the flow.';
COMMENT ON COLUMN otel.flow_trends.flows IS 'How many that began on this day have ended.';
COMMENT ON COLUMN otel.flow_trends.failed IS 'How many of those with an error.';
COMMENT ON COLUMN otel.flow_trends.avg_ms IS 'Mean duration in milliseconds.';
COMMENT ON COLUMN otel.flow_trends.p50_ms IS 'Half of them took no longer; from a histogram whose buckets are 19 % wide.';
COMMENT ON COLUMN otel.flow_trends.p95_ms IS '95 % of them took no longer.';
COMMENT ON COLUMN otel.flow_trends.p99_ms IS '99 % of them took no longer.';
COMMENT ON COLUMN otel.flow_trends.max_ms IS 'The longest.';
