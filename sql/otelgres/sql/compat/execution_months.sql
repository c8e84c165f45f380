-- Reads public views only, because it runs with the rights of the caller.
CREATE OR REPLACE FUNCTION compat.execution_months(
    p_since timestamptz DEFAULT now() - interval '12 months', p_until timestamptz DEFAULT now())
RETURNS TABLE (
    month date, name text, runs bigint, succeeded bigint, failed bigint, abandoned bigint, success_rate double precision,
    avg_seconds double precision, p50_seconds double precision, p95_seconds double precision, max_seconds double precision,
    failovers bigint, error_count bigint)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    -- Materialized: the success of a run that has not ended is expensive and used in five places.
    WITH run AS MATERIALIZED (
        SELECT o.execution_id, date_trunc('month', o.start_time)::date AS month, o.name, o.ended, o.seconds,
               CASE WHEN o.ended THEN o.succeeded ELSE (
                   SELECT e.success FROM compat.execution_summary e WHERE e.execution_id = o.execution_id
               ) END AS success
        FROM compat.execution_outcomes o
        WHERE o.start_time >= p_since AND o.start_time < p_until
    ), failover AS (
        SELECT DISTINCT l.flow_id FROM otel.logs l
        WHERE l.event_name = 'otelgres.run' AND l.time >= p_since AND l.time < p_until + interval '1 day'
            AND l.attributes @> '{"failover_activated": true}'
    ), problem AS (
        SELECT l.execution_id AS flow_id, count(*) AS count FROM compat.log_events l
        WHERE l.level IN ('ERROR', 'CRITICAL') AND l."timestamp" >= p_since AND l."timestamp" < p_until + interval '1 day'
        GROUP BY l.execution_id
    )
    SELECT r.month, r.name, count(*), count(*) FILTER (WHERE r.success),
           count(*) FILTER (WHERE NOT r.success AND r.ended), count(*) FILTER (WHERE NOT r.success AND NOT r.ended),
           count(*) FILTER (WHERE r.success)::double precision / nullif(count(r.success), 0),
           avg(r.seconds) FILTER (WHERE r.ended),
           (percentile_cont('{0.5,0.95}'::double precision[]) WITHIN GROUP (ORDER BY r.seconds) FILTER (WHERE r.ended))[1],
           (percentile_cont('{0.5,0.95}'::double precision[]) WITHIN GROUP (ORDER BY r.seconds) FILTER (WHERE r.ended))[2],
           max(r.seconds) FILTER (WHERE r.ended), count(o.flow_id), coalesce(sum(p.count), 0)::bigint
    FROM run r
    LEFT JOIN failover o ON o.flow_id = r.execution_id
    LEFT JOIN problem p ON p.flow_id = r.execution_id
    GROUP BY r.month, r.name
    ORDER BY r.month, r.name;
END
$$;
COMMENT ON FUNCTION compat.execution_months(timestamptz, timestamptz) IS
    'Runs by month (UTC) and name: number, outcomes (by the status of the run''s span), duration in seconds, '
    'failovers, log records of level ERROR or worse. By default the last twelve months.';
