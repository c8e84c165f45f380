-- Last step of rolling up hours (see _otel.hours_to_roll_up): replaces the rows of p_hour in hour_stats and
-- service_stats, computed from span_stats; returns whether it did. What belongs to a tenant counts twice: for all
-- (tenant_id 0) and for the tenant. Not if the hour was taken again since, because the writers that the other receiver
-- waits for may not be counted yet; nor while another receiver is rolling up.
DROP FUNCTION IF EXISTS _otel.roll_up_hour(timestamptz);
CREATE OR REPLACE FUNCTION _otel.roll_up_hour(p_hour timestamptz, p_taken bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    BEGIN
        LOCK TABLE ONLY _otel.lock_hours IN EXCLUSIVE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;
    END;
    IF NOT EXISTS (SELECT FROM _otel.rollup_hours_in_progress WHERE hour = p_hour AND taken = p_taken) THEN
        RETURN false;
    END IF;
    PERFORM _otel.make_partition('hour_stats', p_hour);
    PERFORM _otel.make_partition('service_stats', p_hour);
    DELETE FROM _otel.hour_stats WHERE hour = p_hour;
    INSERT INTO _otel.hour_stats (
        hour, key, tenant_id, kind, role, count, error_count, duration_sum_ns, duration_min_ns, duration_max_ns, service_name, name,
        latency_buckets, latency_counts)
    SELECT p_hour, o.key, o.tenant_id, o.kind, o.role, o.count, o.error_count, o.duration_sum_ns, o.duration_min_ns,
           o.duration_max_ns, o.service_name, o.name, h.buckets, h.counts
    FROM (
        SELECT s.key, min(s.tenant_id) AS tenant_id, min(s.kind) AS kind, min(s.role) AS role, sum(s.count)::bigint AS count,
               sum(s.error_count)::bigint AS error_count, sum(s.duration_sum_ns) AS duration_sum_ns,
               min(s.duration_min_ns) AS duration_min_ns, max(s.duration_max_ns) AS duration_max_ns,
               min(s.service_name) AS service_name, min(s.name) AS name
        FROM _otel.span_stats_of(p_hour) s
        GROUP BY s.key
    ) o
    JOIN (
        SELECT b.key, array_agg(b.bucket ORDER BY b.bucket) AS buckets, array_agg(b.count ORDER BY b.bucket) AS counts
        FROM (
            SELECT s.key, u.bucket, sum(u.count)::bigint AS count
            FROM _otel.span_stats_of(p_hour) s CROSS JOIN unnest(s.latency_buckets, s.latency_counts) AS u (bucket, count)
            GROUP BY s.key, u.bucket
        ) b
        GROUP BY b.key
    ) h USING (key)
    ORDER BY o.key;
    DELETE FROM _otel.service_stats WHERE minute >= p_hour AND minute < p_hour + interval '1 hour';
    INSERT INTO _otel.service_stats (
        minute, tenant_id, service_name, kind, count, error_count, duration_sum_ns, duration_min_ns, duration_max_ns,
        latency_buckets, latency_counts)
    SELECT o.minute, o.tenant_id, o.service_name, o.kind, o.count, o.error_count, o.duration_sum_ns, o.duration_min_ns,
           o.duration_max_ns, h.buckets, h.counts
    FROM (
        SELECT s.minute, s.tenant_id, s.service_name, s.kind, sum(s.count)::bigint AS count, sum(s.error_count)::bigint AS error_count,
               sum(s.duration_sum_ns) AS duration_sum_ns,
               min(s.duration_min_ns) AS duration_min_ns, max(s.duration_max_ns) AS duration_max_ns
        FROM _otel.span_stats_of(p_hour) s
        GROUP BY 1, 2, 3, 4
    ) o
    JOIN (
        SELECT b.minute, b.tenant_id, b.service_name, b.kind,
               array_agg(b.bucket ORDER BY b.bucket) AS buckets, array_agg(b.count ORDER BY b.bucket) AS counts
        FROM (
            SELECT s.minute, s.tenant_id, s.service_name, s.kind, u.bucket, sum(u.count)::bigint AS count
            FROM _otel.span_stats_of(p_hour) s CROSS JOIN unnest(s.latency_buckets, s.latency_counts) AS u (bucket, count)
            GROUP BY 1, 2, 3, 4, 5
        ) b
        GROUP BY 1, 2, 3, 4
    ) h USING (minute, tenant_id, service_name, kind)
    ORDER BY o.minute;
    DELETE FROM _otel.rollup_hours_in_progress WHERE hour = p_hour;
    RETURN true;
END
$$;
