CREATE OR REPLACE FUNCTION compat.terminal_reliability(
    p_since timestamptz DEFAULT now() - interval '30 days', p_until timestamptz DEFAULT now())
RETURNS TABLE (
    terminal_id text, errors bigint, warnings bigint, affected_runs bigint, affected_share double precision,
    error_types text[], first_seen timestamptz, last_seen timestamptz)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_runs CONSTANT bigint := (
        SELECT count(*) FROM compat.execution_outcomes o WHERE o.start_time >= p_since AND o.start_time < p_until);
BEGIN
    RETURN QUERY
    SELECT l.terminal_id, count(*) FILTER (WHERE l.level <> 'WARNING'), count(*) FILTER (WHERE l.level = 'WARNING'),
           count(DISTINCT l.execution_id), count(DISTINCT l.execution_id)::double precision / nullif(v_runs, 0),
           array_agg(DISTINCT l.error_details ->> 'type') FILTER (WHERE l.error_details ? 'type'),
           min(l."timestamp"), max(l."timestamp")
    FROM compat.log_events l
    WHERE l.level IN ('WARNING', 'ERROR', 'CRITICAL') AND l."timestamp" >= p_since AND l."timestamp" < p_until
        AND l.terminal_id IS NOT NULL
    GROUP BY l.terminal_id
    ORDER BY 2 DESC, 3 DESC, 1;
END
$$;
COMMENT ON FUNCTION compat.terminal_reliability(timestamptz, timestamptz) IS
    'Terminals with warnings or errors, the least reliable first: number, number of runs, and fraction of all runs in '
    'the period. By default the last 30 days.';
