CREATE OR REPLACE FUNCTION compat.keep_logs(p_prefix text, p_days integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_days integer;
BEGIN
    IF p_days IS NULL OR p_days < 0 THEN
        RAISE EXCEPTION 'days must be 0 (for ever) or more' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE _otel.logs_views SET keep_days = p_days WHERE prefix = p_prefix;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown table prefix %', quote_nullable(p_prefix)
            USING HINT = 'Run SELECT compat.make_logs_view(prefix) first.', ERRCODE = 'undefined_object';
    END IF;
    -- All prefixes share one table: the longest retention applies.
    SELECT CASE WHEN min(keep_days) = 0 THEN 0 ELSE max(keep_days) END INTO v_days FROM _otel.logs_views;
    IF v_days = 0 THEN
        DELETE FROM _otel.retention WHERE table_name = 'logs';
    ELSE
        INSERT INTO _otel.retention AS r (table_name, keep) VALUES ('logs', make_interval(days => v_days))
        ON CONFLICT (table_name) DO UPDATE SET keep = excluded.keep WHERE r.keep <> excluded.keep;
    END IF;
    -- Digests are not needed after a week. A receiver sets this itself.
    INSERT INTO _otel.retention (table_name, keep) VALUES ('digests', interval '7 days') ON CONFLICT (table_name) DO NOTHING;
    RETURN v_days;
END
$$;

COMMENT ON FUNCTION compat.keep_logs(text, integer) IS
    'Sets how many days the log records of a table prefix are kept (0: for ever); returns the days that now apply to '
    'all logs, the longest of all prefixes. Whole days are dropped. A receiver on the same database sets it to its '
    'retention_days. Only the owner may call it.';
