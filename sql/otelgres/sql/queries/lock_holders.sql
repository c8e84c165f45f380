-- The transactions that hold locks on relations of otelgres, the longest first; since is NULL if this role may not know.
SELECT a.pid, a.usename AS login, a.xact_start AS since, coalesce(a.state, '') AS state
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
    AND EXISTS (
        SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.granted
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant')))
ORDER BY a.xact_start NULLS LAST, a.pid
LIMIT 5
