-- From roll-ups, without reading spans.
CREATE OR REPLACE VIEW otel.services AS
SELECT r.service_name,
       r.first_seen,
       greatest(r.last_new, s.last_minute) AS last_seen,
       coalesce(s.count, 0) AS span_count,
       coalesce(s.error_count, 0) AS error_count,
       s.error_count::double precision / s.count AS error_ratio,
       s.duration_sum_ms / s.count AS avg_ms,
       least(h.quantiles[1], s.max_ms) AS p50_ms,
       least(h.quantiles[2], s.max_ms) AS p95_ms,
       r.instance_count
FROM (
    SELECT i.service_name, min(i.first_seen) AS first_seen, max(i.first_seen) AS last_new, count(*) AS instance_count
    FROM _otel.resources i GROUP BY i.service_name
) r
LEFT JOIN (
    SELECT t.service_name, max(t.minute) AS last_minute,
           sum(t.count)::bigint AS count, sum(t.error_count)::bigint AS error_count,
           sum(t.duration_sum_ms) AS duration_sum_ms, max(t.max_ms) AS max_ms
    FROM otel.service_stats t
    WHERE t.minute >= now() - interval '24 hours'
    GROUP BY t.service_name
) s USING (service_name)
LEFT JOIN (
    SELECT b.service_name,
           otel.latency_quantiles(array_agg(b.bucket ORDER BY b.bucket), array_agg(b.count ORDER BY b.bucket), '{0.5,0.95}')
               AS quantiles
    FROM (
        SELECT t.service_name, u.bucket, sum(u.count)::bigint AS count
        FROM otel.service_stats t CROSS JOIN unnest(t.latency_buckets, t.latency_counts) AS u (bucket, count)
        WHERE t.minute >= now() - interval '24 hours'
        GROUP BY t.service_name, u.bucket
    ) b
    GROUP BY b.service_name
) h USING (service_name);

COMMENT ON VIEW otel.services IS
    'Every service that has sent data, with the figures of its spans of the last 24 hours.';
COMMENT ON COLUMN otel.services.service_name IS 'service.name of the resources.';
COMMENT ON COLUMN otel.services.first_seen IS 'When its first resource was stored.';
COMMENT ON COLUMN otel.services.last_seen IS
    'The later of its latest span within the last 24 hours (to the minute) and its latest new resource; logs and '
    'metrics of a known resource do not count.';
COMMENT ON COLUMN otel.services.span_count IS 'Number of spans of the last 24 hours, excluding checkpoints.';
COMMENT ON COLUMN otel.services.error_count IS 'Number of those with status ERROR.';
COMMENT ON COLUMN otel.services.error_ratio IS 'error_count / span_count, 0 to 1; NULL without spans.';
COMMENT ON COLUMN otel.services.avg_ms IS 'Mean duration of those spans in milliseconds.';
COMMENT ON COLUMN otel.services.p50_ms IS 'Median of those durations in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.services.p95_ms IS '95th percentile of those durations in milliseconds, within 9 %.';
COMMENT ON COLUMN otel.services.instance_count IS 'Number of different resources (instances, versions, hosts).';
