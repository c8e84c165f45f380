CREATE OR REPLACE FUNCTION compat.get_error_summary(p_experiment_id uuid)
RETURNS TABLE (
    error_type text, level text, error_count bigint, first_seen timestamptz, last_seen timestamptz, last_message text,
    nodes text[], stages text[])
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.error_type, e.level, count(*), min(e."timestamp"), max(e."timestamp"),
           (array_agg(e.message ORDER BY e."timestamp" DESC))[1],
           array_agg(DISTINCT e.node_id ORDER BY e.node_id) FILTER (WHERE e.node_id IS NOT NULL),
           array_agg(DISTINCT e.stage ORDER BY e.stage) FILTER (WHERE e.stage IS NOT NULL)
    FROM (
        SELECT coalesce(l.error_type, l.logger) AS error_type, l.level, l."timestamp", l.message, l.node_id, l.stage
        FROM compat.pipeline_logs l
        WHERE l.experiment_id = p_experiment_id AND l.level IN ('ERROR', 'CRITICAL')
        UNION ALL
        SELECT coalesce(v.details ->> 'error_type', v.event_type), v.severity, v."timestamp", v.message, v.node_id, v.stage
        FROM compat.pipeline_events v
        WHERE v.experiment_id = p_experiment_id AND v.severity IN ('ERROR', 'CRITICAL')
    ) e
    GROUP BY e.error_type, e.level
    ORDER BY count(*) DESC, max(e."timestamp") DESC
$$;

COMMENT ON FUNCTION compat.get_error_summary(uuid) IS
    'Errors of an experiment by exception class (else by logger, for events by event type), most frequent first.';
