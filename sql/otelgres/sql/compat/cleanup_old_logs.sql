CREATE OR REPLACE FUNCTION compat.cleanup_old_logs(days integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF days IS NULL OR days < 1 THEN
        RAISE EXCEPTION 'cleanup_old_logs keeps the logs of at least one day, not of %', coalesce(days::text, 'NULL')
            USING HINT = 'SELECT compat.cleanup_old_logs(30) keeps thirty days.', ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Drops whole days only: nothing is read, and the room is there at once.
    RETURN _otel.drop_partitions('logs', now() - days * interval '1 day');
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'Only the owner of the schema may drop logs'
        USING HINT = 'Ask a member of otelgres_owner, or let OTELGRES_RETENTION_DAYS have the receiver do it.', ERRCODE = 'insufficient_privilege';
END
$$;

COMMENT ON FUNCTION compat.cleanup_old_logs(integer) IS
    'Drops the days of log records, of all applications, that are older than this many days; returns the number of '
    'days dropped. Only the owner of the schema may call it.';
