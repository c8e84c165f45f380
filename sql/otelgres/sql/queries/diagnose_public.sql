-- What every login of the server may do in this database beyond the schemas of otelgres, each with the statement that
-- takes it away. Nothing here is changed: programs of others may need it.
SELECT 'every login may create temporary tables' AS what,
       format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC; GRANT TEMPORARY ON DATABASE %I TO otelgres_writer',
              current_database(), current_database()) AS fix
WHERE has_database_privilege('public', current_database(), 'TEMPORARY')
UNION ALL
SELECT 'every login may create objects in schema public', 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'
WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public') AND has_schema_privilege('public', 'public', 'CREATE')
UNION ALL
SELECT 'every login may store large objects',
       format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.proname))
FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace
    AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lowrite', 'lo_open')
    AND has_function_privilege('public', p.oid, 'EXECUTE')
HAVING count(*) > 0
UNION ALL
SELECT 'every login may write messages into the WAL',
       format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid))
FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = 'pg_logical_emit_message'
    AND has_function_privilege('public', p.oid, 'EXECUTE')
HAVING count(*) > 0
UNION ALL
SELECT 'other logins may use up the connections that receivers need',
       concat_ws('; ', CASE WHEN current_setting('reserved_connections')::integer = 0
                            THEN 'ALTER SYSTEM SET reserved_connections = 10 (effective after a restart of the server)' END,
                 'GRANT pg_use_reserved_connections TO otelgres_writer')
WHERE current_setting('reserved_connections')::integer = 0
    OR EXISTS (
        SELECT FROM pg_roles w
        WHERE w.rolname = 'otelgres_writer' AND NOT pg_has_role(w.oid, 'pg_use_reserved_connections', 'USAGE'))
