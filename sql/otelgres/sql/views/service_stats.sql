-- Rolled-up hours from service_rows; the others (always the current one) from span_stats.
CREATE OR REPLACE VIEW otel.service_stats AS
SELECT g.minute,
       g.service_name,
       _otel.span_kind(g.kind) AS kind,
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
       g.latency_counts
FROM (
    SELECT u.minute, u.service_name, u.kind, u.count, u.error_count, u.duration_sum_ns, u.duration_min_ns,
           u.duration_max_ns, u.latency_buckets, u.latency_counts,
           otel.latency_quantiles(u.latency_buckets, u.latency_counts, '{0.5,0.95,0.99}') AS quantiles
    FROM (
        SELECT t.minute, t.service_name, t.kind, t.count, t.error_count, t.duration_sum_ns, t.duration_min_ns,
               t.duration_max_ns, t.latency_buckets, t.latency_counts
        FROM _otel.service_rows t
        WHERE NOT EXISTS (
            SELECT FROM _otel.pending_rollup_hours l WHERE l.hour = date_bin('1 hour', t.minute, '2024-01-01 00:00:00+00'))
        UNION ALL
        SELECT s.minute, s.service_name, s.kind, sum(s.count)::bigint, sum(s.error_count)::bigint, sum(s.duration_sum_ns),
               min(s.duration_min_ns), max(s.duration_max_ns),
               otel.array_concat(s.latency_buckets ORDER BY s.key, s.slot),
               otel.array_concat(s.latency_counts ORDER BY s.key, s.slot)
        FROM _otel.pending_rollup_hours l
        JOIN _otel.span_stats s ON s.minute >= l.hour AND s.minute < l.hour + interval '1 hour'
        GROUP BY s.minute, s.service_name, s.kind
    ) u
) g;

COMMENT ON VIEW otel.service_stats IS
    'Rate, errors and latency of each service by minute: otel.span_stats summed over operations. Filter by minute.';
COMMENT ON COLUMN otel.service_stats.minute IS 'The minute in which the spans started.';
COMMENT ON COLUMN otel.service_stats.service_name IS 'The service.';
COMMENT ON COLUMN otel.service_stats.kind IS
    'UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER. Requests to the service are SERVER and CONSUMER.';
COMMENT ON COLUMN otel.service_stats.count IS 'Number of spans, excluding checkpoints.';
COMMENT ON COLUMN otel.service_stats.error_count IS 'Number of spans with status ERROR.';
COMMENT ON COLUMN otel.service_stats.error_ratio IS 'error_count / count, 0 to 1.';
COMMENT ON COLUMN otel.service_stats.duration_sum_ms IS 'Sum of the durations in milliseconds.';
COMMENT ON COLUMN otel.service_stats.avg_ms IS 'Mean duration in milliseconds.';
COMMENT ON COLUMN otel.service_stats.min_ms IS 'Shortest duration in milliseconds.';
COMMENT ON COLUMN otel.service_stats.max_ms IS 'Longest duration in milliseconds.';
COMMENT ON COLUMN otel.service_stats.p50_ms IS 'Median duration in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.service_stats.p95_ms IS '95th percentile of the durations in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.service_stats.p99_ms IS '99th percentile of the durations in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.service_stats.latency_buckets IS 'Histogram, as in otel.span_stats: for otel.latency_quantiles.';
COMMENT ON COLUMN otel.service_stats.latency_counts IS 'Histogram: number of spans in each of latency_buckets.';
