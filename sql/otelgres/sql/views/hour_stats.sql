-- Rolled-up hours from hour_rows; hours whose minutes have changed since (always the current one) from span_stats.
CREATE OR REPLACE VIEW otel.hour_stats AS
SELECT g.hour,
       g.service_name,
       g.name,
       _otel.span_kind(g.kind) AS kind,
       CASE g.role WHEN 1 THEN 'flow' WHEN 2 THEN 'phase' END AS type,
       g.count,
       g.error_count,
       g.error_count::double precision / g.count AS error_ratio,
       g.duration_sum_ns / 1e6 AS duration_sum_ms,
       g.duration_sum_ns / 1e6 / g.count AS avg_ms,
       g.duration_min_ns / 1e6::double precision AS min_ms,
       g.duration_max_ns / 1e6::double precision AS max_ms,
       g.latency_buckets,
       g.latency_counts
FROM (
    SELECT h.hour, h.service_name, h.name, h.kind, h.role, h.count, h.error_count, h.duration_sum_ns,
           h.duration_min_ns, h.duration_max_ns, h.latency_buckets, h.latency_counts
    FROM _otel.hour_rows h
    WHERE NOT EXISTS (SELECT FROM _otel.pending_rollup_hours l WHERE l.hour = h.hour)
    UNION ALL
    SELECT c.hour, s.service_name, s.name, s.kind, s.role, s.count, s.error_count, s.duration_sum_ns,
           s.duration_min_ns, s.duration_max_ns, s.latency_buckets, s.latency_counts
    FROM _otel.pending_rollup_hours c
    CROSS JOIN LATERAL (
        SELECT t.service_name, t.name, t.kind, t.role,
               sum(t.count)::bigint AS count, sum(t.error_count)::bigint AS error_count,
               sum(t.duration_sum_ns) AS duration_sum_ns,
               min(t.duration_min_ns) AS duration_min_ns, max(t.duration_max_ns) AS duration_max_ns,
               otel.array_concat(t.latency_buckets ORDER BY t.minute, t.slot) AS latency_buckets,
               otel.array_concat(t.latency_counts ORDER BY t.minute, t.slot) AS latency_counts
        FROM _otel.span_stats t
        WHERE t.minute >= c.hour AND t.minute < c.hour + interval '1 hour'
        GROUP BY t.service_name, t.name, t.kind, t.role
    ) s
) g;

COMMENT ON VIEW otel.hour_stats IS
    'Rate, errors and latency of each operation by hour: otel.span_stats rolled up, for queries over days. Filter by '
    'hour.';
COMMENT ON COLUMN otel.hour_stats.hour IS 'The hour (UTC) in which the spans started.';
COMMENT ON COLUMN otel.hour_stats.service_name IS 'The service.';
COMMENT ON COLUMN otel.hour_stats.name IS 'Name of the spans.';
COMMENT ON COLUMN otel.hour_stats.kind IS 'UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER.';
COMMENT ON COLUMN otel.hour_stats.type IS 'flow or phase for spans created as such by otel_setup, else NULL.';
COMMENT ON COLUMN otel.hour_stats.count IS 'Number of spans, excluding checkpoints.';
COMMENT ON COLUMN otel.hour_stats.error_count IS 'Number of spans with status ERROR.';
COMMENT ON COLUMN otel.hour_stats.error_ratio IS 'error_count / count, 0 to 1.';
COMMENT ON COLUMN otel.hour_stats.duration_sum_ms IS 'Sum of the durations in milliseconds.';
COMMENT ON COLUMN otel.hour_stats.avg_ms IS 'Mean duration in milliseconds.';
COMMENT ON COLUMN otel.hour_stats.min_ms IS 'Shortest duration in milliseconds.';
COMMENT ON COLUMN otel.hour_stats.max_ms IS 'Longest duration in milliseconds.';
COMMENT ON COLUMN otel.hour_stats.latency_buckets IS
    'Histogram: bucket b holds durations around 2^(b/4) nanoseconds. A bucket may appear more than once. For '
    'otel.latency_quantiles.';
COMMENT ON COLUMN otel.hour_stats.latency_counts IS 'Histogram: number of spans in each of latency_buckets.';
