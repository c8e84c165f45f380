CREATE OR REPLACE FUNCTION compat.phase_reliability(
    p_since timestamptz DEFAULT now() - interval '30 days', p_until timestamptz DEFAULT now())
RETURNS TABLE (
    execution_phase text, executions bigint, failed bigint, success_rate double precision, avg_seconds double precision,
    p95_seconds double precision, max_seconds double precision, total_seconds double precision)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT h.name, sum(h.count)::bigint, sum(h.error_count)::bigint,
           1 - sum(h.error_count)::double precision / sum(h.count), sum(h.duration_sum_ms) / sum(h.count) / 1e3,
           (otel.latency_quantiles(otel.array_concat(h.latency_buckets), otel.array_concat(h.latency_counts), '{0.95}'))[1] / 1e3,
           max(h.max_ms) / 1e3, sum(h.duration_sum_ms) / 1e3
    FROM otel.operation_history(p_since, p_until, 'phase') h
    GROUP BY h.name
    ORDER BY sum(h.error_count) DESC, sum(h.duration_sum_ms) DESC;
END
$$;
COMMENT ON FUNCTION compat.phase_reliability(timestamptz, timestamptz) IS
    'Phases by name: number, failures and durations; the least reliable first. From the roll-up of spans: whole '
    'hours, percentiles within 9 %. By default the last 30 days.';
