-- plpgsql, so that it can be created before the view it reads, and is planned for the given times.
CREATE OR REPLACE FUNCTION otel.service_map(
    p_since timestamptz DEFAULT now() - interval '1 hour', p_until timestamptz DEFAULT now())
RETURNS TABLE (
    caller text, callee text, caller_kind text, callee_kind text, count bigint, error_count bigint,
    avg_ms double precision, max_ms double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e.caller, e.callee, e.caller_kind, e.callee_kind, count(*), count(*) FILTER (WHERE e.is_error),
           avg(e.duration_ms), max(e.duration_ms)
    FROM otel.service_edges e
    WHERE e.start_time >= p_since AND e.start_time < p_until
    GROUP BY 1, 2, 3, 4
    ORDER BY 5 DESC, 1, 2, 3, 4;
END
$$;
COMMENT ON FUNCTION otel.service_map(timestamptz, timestamptz) IS
    'Calls between services between two times (default: the last hour): caller, callee, count, errors and duration.';
