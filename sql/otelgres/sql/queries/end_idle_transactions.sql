-- Ends the sessions of members of the given group roles that use relations of otelgres and have been idle in a transaction
-- for some minutes: those whose state this role may see, and which it may end. MATERIALIZED: not before they are selected.
WITH idle AS MATERIALIZED (
    SELECT a.pid, a.usename AS login, a.xact_start AS since
    FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state LIKE 'idle in transaction%%'
        AND a.state_change < clock_timestamp() - make_interval(mins => %(minutes)s)
        AND NOT r.rolsuper
        AND EXISTS (
            SELECT FROM pg_roles g
            WHERE g.rolname = ANY (%(groups)s::text[]) AND pg_has_role(r.oid, g.oid, 'MEMBER'))
        AND NOT EXISTS (
            SELECT FROM pg_roles g
            WHERE g.rolname IN ('otelgres_owner', 'otelgres_writer') AND g.rolname <> ALL (%(groups)s::text[])
                AND pg_has_role(r.oid, g.oid, 'MEMBER'))
        AND (pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
        AND EXISTS (
            SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
            WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.granted
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND c.relnamespace IN (
                    SELECT oid FROM pg_namespace WHERE nspname IN ('_otel', 'otel', 'compat', 'otel_tenant')))
)
SELECT i.pid, i.login, i.since FROM idle i WHERE pg_terminate_backend(i.pid)
