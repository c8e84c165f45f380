CREATE OR REPLACE VIEW compat.logging_status AS
SELECT r.attributes ->> 'otelgres.table_prefix' AS table_prefix,
       r.service_name,
       r.attributes ->> 'host.name' AS hostname,
       CASE WHEN pg_input_is_valid(r.attributes ->> 'process.pid', 'integer')
            THEN (r.attributes ->> 'process.pid')::integer END AS process_id,
       max(f.time) AS reported_at,
       max(f.value) FILTER (WHERE f.name = 'queued')::bigint AS queued,
       coalesce(sum(f.value) FILTER (WHERE f.fate = 'sent'), 0)::bigint AS sent,
       coalesce(sum(f.value) FILTER (WHERE f.fate = 'spooled'), 0)::bigint AS spooled,
       coalesce(sum(f.value) FILTER (WHERE f.fate = 'replayed'), 0)::bigint AS replayed,
       coalesce(sum(f.value) FILTER (WHERE f.fate = 'console'), 0)::bigint AS console,
       coalesce(sum(f.value) FILTER (WHERE f.fate = 'stderr'), 0)::bigint AS stderr,
       coalesce(sum(f.value) FILTER (WHERE f.fate = 'refused'), 0)::bigint AS refused,
       coalesce(sum(f.value) FILTER (WHERE f.fate = 'dropped'), 0)::bigint AS dropped,
       coalesce(sum(f.value) FILTER (WHERE f.fate = 'overflowed'), 0)::bigint AS overflowed,
       max(f.value) FILTER (WHERE f.name = 'flushes')::bigint AS flushes,
       max(f.value) FILTER (WHERE f.name = 'errors')::bigint AS errors,
       to_timestamp(max(f.value) FILTER (WHERE f.name = 'last_flush')) AS last_flush,
       to_timestamp(max(f.value) FILTER (WHERE f.name = 'last_error')) AS last_error
FROM (
    SELECT s.resource_id, substr(m.name, 17) AS name, s.attributes ->> 'otelgres.disposition' AS fate, p.time, p.value
    FROM _otel.metrics m
    JOIN _otel.series s ON s.metric_id = m.id
    CROSS JOIN LATERAL (
        SELECT n.time, coalesce(n.value_double, n.value_int::double precision) AS value
        FROM _otel.number_points n
        WHERE n.series_id = s.id AND n.time > now() - interval '7 days'
        ORDER BY n.time DESC
        LIMIT 1
    ) p
    WHERE m.name LIKE 'otelgres.logger.%'
) f
JOIN _otel.resources r ON r.id = f.resource_id
GROUP BY r.id;

COMMENT ON VIEW compat.logging_status IS
    'How the loggers of applications with a table prefix are doing: one row a process, as it last reported (once a minute and at its end) within seven days. Numbers are log records since the process began.';
COMMENT ON COLUMN compat.logging_status.table_prefix IS 'Whose logs: those of view <table_prefix>_logs.';
COMMENT ON COLUMN compat.logging_status.service_name IS 'The service.';
COMMENT ON COLUMN compat.logging_status.hostname IS 'Where it runs.';
COMMENT ON COLUMN compat.logging_status.process_id IS 'The process there.';
COMMENT ON COLUMN compat.logging_status.reported_at IS 'When it reported.';
COMMENT ON COLUMN compat.logging_status.queued IS 'Waiting for their batch then.';
COMMENT ON COLUMN compat.logging_status.sent IS 'Taken by the database, or by the collector before it.';
COMMENT ON COLUMN compat.logging_status.spooled IS 'Kept in files to be sent later.';
COMMENT ON COLUMN compat.logging_status.replayed IS 'Sent from those files, be they another process''s.';
COMMENT ON COLUMN compat.logging_status.console IS 'Found on the console only, because the database took them not.';
COMMENT ON COLUMN compat.logging_status.stderr IS 'Printed on stderr, because nothing before it took them.';
COMMENT ON COLUMN compat.logging_status.refused IS 'Refused for good.';
COMMENT ON COLUMN compat.logging_status.dropped IS 'Lost, because nothing took them.';
COMMENT ON COLUMN compat.logging_status.overflowed IS 'Lost, because the queue was full.';
COMMENT ON COLUMN compat.logging_status.flushes IS 'Batches that were taken.';
COMMENT ON COLUMN compat.logging_status.errors IS 'Batches that were not, after all their attempts.';
COMMENT ON COLUMN compat.logging_status.last_flush IS 'When a batch was taken last.';
COMMENT ON COLUMN compat.logging_status.last_error IS 'When one was not; NULL if that never happened.';
