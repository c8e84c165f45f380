CREATE OR REPLACE FUNCTION compat.cleanup_old_logs(days integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF days IS NULL OR days < 1 THEN
        RAISE EXCEPTION 'days must be at least 1, not %', coalesce(days::text, 'NULL')
            USING HINT = 'SELECT compat.cleanup_old_logs(30) keeps 30 days.', ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Drops whole days only: this reads no rows and frees the space at once.
    RETURN _otel.drop_partitions('logs', now() - days * interval '1 day');
END
$$;

COMMENT ON FUNCTION compat.cleanup_old_logs(integer) IS
    'Drops the days of log records, of all applications, that are older than this many days; returns the number of '
    'days dropped. Only the owner of the schema may call it.';
