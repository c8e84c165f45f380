-- The rows of span_stats of an hour as they count in hour_stats and service_stats: all under tenant_id 0, those of tenants
-- also under their own.
CREATE OR REPLACE FUNCTION _otel.span_stats_of(p_hour timestamptz) RETURNS SETOF _otel.span_stats
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.minute, CASE s.tenant_id WHEN 0 THEN s.key ELSE _otel.operation_key(0, s.kind, s.role, s.name, s.service_name) END,
           s.slot, s.kind, s.count, s.error_count, s.duration_sum_ns, s.duration_min_ns, s.duration_max_ns,
           s.service_name, s.name, s.latency_buckets, s.latency_counts, s.role, 0
    FROM _otel.span_stats s
    WHERE s.minute >= p_hour AND s.minute < p_hour + interval '1 hour'
    UNION ALL
    SELECT s.* FROM _otel.span_stats s
    WHERE s.minute >= p_hour AND s.minute < p_hour + interval '1 hour' AND s.tenant_id <> 0
$$;
