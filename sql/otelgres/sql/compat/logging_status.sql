CREATE OR REPLACE VIEW compat.logging_status AS
SELECT r.attributes ->> 'otelgres.table_prefix' AS table_prefix,
       r.service_name,
       r.attributes ->> 'host.name' AS hostname,
       CASE WHEN pg_input_is_valid(r.attributes ->> 'process.pid', 'integer')
            THEN (r.attributes ->> 'process.pid')::integer END AS process_id,
       max(f.time) AS reported_at,
       max(f.value) FILTER (WHERE f.name = 'queued')::bigint AS queued,
       coalesce(sum(f.value) FILTER (WHERE f.disposition = 'sent'), 0)::bigint AS sent,
       coalesce(sum(f.value) FILTER (WHERE f.disposition = 'spooled'), 0)::bigint AS spooled,
       coalesce(sum(f.value) FILTER (WHERE f.disposition = 'replayed'), 0)::bigint AS replayed,
       coalesce(sum(f.value) FILTER (WHERE f.disposition = 'console'), 0)::bigint AS console,
       coalesce(sum(f.value) FILTER (WHERE f.disposition = 'stderr'), 0)::bigint AS stderr,
       coalesce(sum(f.value) FILTER (WHERE f.disposition = 'refused'), 0)::bigint AS refused,
       coalesce(sum(f.value) FILTER (WHERE f.disposition = 'dropped'), 0)::bigint AS dropped,
       coalesce(sum(f.value) FILTER (WHERE f.disposition = 'overflowed'), 0)::bigint AS overflowed,
       max(f.value) FILTER (WHERE f.name = 'flushes')::bigint AS flushes,
       max(f.value) FILTER (WHERE f.name = 'errors')::bigint AS errors,
       to_timestamp(max(f.value) FILTER (WHERE f.name = 'last_flush')) AS last_flush,
       to_timestamp(max(f.value) FILTER (WHERE f.name = 'last_error')) AS last_error
FROM (
    SELECT s.resource_id, substr(m.name, 17) AS name, s.attributes ->> 'otelgres.disposition' AS disposition, p.time, p.value
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
    'State of the loggers of applications with a table prefix: one row per process, as of its last report (once a '
    'minute and at exit) within seven days. Counts are log records since the start of the process.';
COMMENT ON COLUMN compat.logging_status.table_prefix IS 'Table prefix of the view <table_prefix>_logs.';
COMMENT ON COLUMN compat.logging_status.service_name IS 'The service.';
COMMENT ON COLUMN compat.logging_status.hostname IS 'The host.';
COMMENT ON COLUMN compat.logging_status.process_id IS 'The process id.';
COMMENT ON COLUMN compat.logging_status.reported_at IS 'Time of the report.';
COMMENT ON COLUMN compat.logging_status.queued IS 'Waiting for their batch.';
COMMENT ON COLUMN compat.logging_status.sent IS 'Accepted by the database or the collector.';
COMMENT ON COLUMN compat.logging_status.spooled IS 'Written to the spool, to be sent later.';
COMMENT ON COLUMN compat.logging_status.replayed IS 'Sent from the spool, including that of other processes.';
COMMENT ON COLUMN compat.logging_status.console IS 'Printed on the console only, because the database was unavailable.';
COMMENT ON COLUMN compat.logging_status.stderr IS 'Printed on stderr, because no other exporter accepted them.';
COMMENT ON COLUMN compat.logging_status.refused IS 'Rejected permanently.';
COMMENT ON COLUMN compat.logging_status.dropped IS 'Lost, because no exporter accepted them.';
COMMENT ON COLUMN compat.logging_status.overflowed IS 'Lost, because the queue was full.';
COMMENT ON COLUMN compat.logging_status.flushes IS 'Number of batches accepted.';
COMMENT ON COLUMN compat.logging_status.errors IS 'Number of batches not accepted after all attempts.';
COMMENT ON COLUMN compat.logging_status.last_flush IS 'When a batch was last accepted.';
COMMENT ON COLUMN compat.logging_status.last_error IS 'When a batch last failed; NULL if never.';
