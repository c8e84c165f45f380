CREATE OR REPLACE FUNCTION compat.get_experiment_logs(
    p_experiment_id uuid, p_level text DEFAULT NULL, p_search text DEFAULT NULL, p_limit integer DEFAULT 100)
RETURNS TABLE (
    "timestamp" timestamptz, level text, logger text, message text, node_id text, stage text, context jsonb, error_type text,
    traceback text, performance jsonb, service_name text, flow_id uuid)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_levels CONSTANT text[] := '{TRACE,DEBUG,INFO,WARNING,ERROR,CRITICAL}';
    v_level CONSTANT text := CASE upper(rtrim(p_level, '+')) WHEN 'WARN' THEN 'WARNING' WHEN 'FATAL' THEN 'CRITICAL'
                                  ELSE upper(rtrim(p_level, '+')) END;
    v_wanted text[];
BEGIN
    IF v_level <> ALL (v_levels) THEN
        RAISE EXCEPTION 'unknown level %', p_level
            USING HINT = 'Use TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL; with + for that level or worse.',
                ERRCODE = 'invalid_parameter_value';
    END IF;
    v_wanted := CASE WHEN v_level IS NULL THEN NULL WHEN p_level LIKE '%+' THEN v_levels[array_position(v_levels, v_level):]
                     ELSE ARRAY[v_level] END;
    RETURN QUERY
    SELECT l."timestamp", l.level, l.logger, l.message, l.node_id, l.stage, l.context, l.error_type, l.traceback,
           l.performance, l.service_name, l.flow_id
    FROM compat.pipeline_logs l
    WHERE l.experiment_id = p_experiment_id
        AND (v_wanted IS NULL OR l.level = ANY (v_wanted))
        AND (p_search IS NULL OR strpos(lower(l.message), lower(p_search)) > 0
             OR strpos(lower(l.traceback), lower(p_search)) > 0)
    ORDER BY l."timestamp" DESC
    LIMIT p_limit;
END
$$;

COMMENT ON FUNCTION compat.get_experiment_logs(uuid, text, text, integer) IS
    'The latest log records of an experiment, newest first: of one level, or with a trailing + of that level or worse '
    '(''WARNING+''); with a text in message or traceback (case-insensitive); at most p_limit, NULL: all.';
