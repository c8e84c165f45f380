-- For a database that belongs to otelgres alone, as a superuser: what PUBLIC may do in a new one, and no login of
-- otelgres needs, except that writers stage repeated rows in temporary tables. In a database that is shared with other
-- programs nothing is revoked from PUBLIC.
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    EXECUTE format('REVOKE TEMPORARY, CREATE ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO otelgres_writer', current_database());
    FOR v_function IN
        SELECT oid FROM pg_catalog.pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
            AND (proname LIKE 'lo\_%' OR proname IN ('loread', 'lowrite', 'pg_logical_emit_message'))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', v_function);
    END LOOP;
END
$$;
