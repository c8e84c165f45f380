CREATE OR REPLACE VIEW otel.span_stats AS
SELECT g.minute,
       g.service_name,
       g.name,
       g.kind,
       g.count,
       g.error_count,
       g.error_count::double precision / g.count AS error_ratio,
       g.duration_sum_ns / 1e6 AS duration_sum_ms,
       g.duration_sum_ns / 1e6 / g.count AS avg_ms,
       g.duration_min_ns / 1e6::double precision AS min_ms,
       g.duration_max_ns / 1e6::double precision AS max_ms,
       -- Minimum and maximum are known exactly, so the quantiles are limited to them.
       greatest(least(g.quantiles[1], g.duration_max_ns / 1e6::double precision), g.duration_min_ns / 1e6::double precision)
           AS p50_ms,
       greatest(least(g.quantiles[2], g.duration_max_ns / 1e6::double precision), g.duration_min_ns / 1e6::double precision)
           AS p95_ms,
       greatest(least(g.quantiles[3], g.duration_max_ns / 1e6::double precision), g.duration_min_ns / 1e6::double precision)
           AS p99_ms,
       g.latency_buckets,
       g.latency_counts,
       CASE g.role WHEN 1 THEN 'flow' WHEN 2 THEN 'phase' END AS type
FROM (
    SELECT t.minute, t.service_name, t.name, _otel.span_kind(t.kind) AS kind, t.role,
           sum(t.count)::bigint AS count,
           sum(t.error_count)::bigint AS error_count,
           sum(t.duration_sum_ns) AS duration_sum_ns,
           min(t.duration_min_ns) AS duration_min_ns,
           max(t.duration_max_ns) AS duration_max_ns,
           otel.latency_quantiles(
               otel.array_concat(t.latency_buckets ORDER BY t.slot),
               otel.array_concat(t.latency_counts ORDER BY t.slot),
               '{0.5,0.95,0.99}') AS quantiles,
           otel.array_concat(t.latency_buckets ORDER BY t.slot) AS latency_buckets,
           otel.array_concat(t.latency_counts ORDER BY t.slot) AS latency_counts
    FROM _otel.span_stats t
    GROUP BY t.minute, t.service_name, t.name, t.kind, t.role
) g;

COMMENT ON VIEW otel.span_stats IS
    'Rate, errors and latency of each operation by minute, updated as spans arrive; checkpoints are not counted. '
    'Filter by minute.';
COMMENT ON COLUMN otel.span_stats.minute IS 'The minute in which the spans started.';
COMMENT ON COLUMN otel.span_stats.service_name IS 'The service.';
COMMENT ON COLUMN otel.span_stats.name IS 'Name of the spans.';
COMMENT ON COLUMN otel.span_stats.kind IS 'UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER.';
COMMENT ON COLUMN otel.span_stats.count IS 'Number of spans.';
COMMENT ON COLUMN otel.span_stats.error_count IS 'Number of spans with status ERROR.';
COMMENT ON COLUMN otel.span_stats.error_ratio IS 'error_count / count, 0 to 1.';
COMMENT ON COLUMN otel.span_stats.duration_sum_ms IS 'Sum of the durations in milliseconds.';
COMMENT ON COLUMN otel.span_stats.avg_ms IS 'Mean duration in milliseconds.';
COMMENT ON COLUMN otel.span_stats.min_ms IS 'Shortest duration in milliseconds.';
COMMENT ON COLUMN otel.span_stats.max_ms IS 'Longest duration in milliseconds.';
COMMENT ON COLUMN otel.span_stats.p50_ms IS 'Median duration in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.span_stats.p95_ms IS '95th percentile of the durations in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.span_stats.p99_ms IS '99th percentile of the durations in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.span_stats.latency_buckets IS
    'Histogram: bucket b holds durations around 2^(b/4) nanoseconds. A bucket may appear more than once. For '
    'otel.latency_quantiles.';
COMMENT ON COLUMN otel.span_stats.latency_counts IS 'Histogram: number of spans in each of latency_buckets.';
COMMENT ON COLUMN otel.span_stats.type IS 'flow or phase for spans created as such by otel_setup, else NULL.';
