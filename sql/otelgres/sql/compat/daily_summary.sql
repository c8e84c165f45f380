CREATE OR REPLACE VIEW compat.daily_summary AS
SELECT d.day,
       count(*) FILTER (WHERE d.kind = 'database') AS total_operations,
       count(*) FILTER (WHERE d.kind = 'database' AND d.success) AS successful_operations,
       count(*) FILTER (WHERE d.kind = 'database' AND NOT d.success) AS failed_operations,
       (count(*) FILTER (WHERE d.kind = 'database' AND d.success))::double precision
           / nullif(count(*) FILTER (WHERE d.kind = 'database'), 0) AS success_rate,
       avg(d.ms) FILTER (WHERE d.kind = 'database') AS avg_execution_time_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY d.ms) FILTER (WHERE d.kind = 'database') AS p95_execution_time_ms,
       count(*) FILTER (WHERE d.kind = 'database' AND d.duplicate) AS duplicates_detected,
       count(*) FILTER (WHERE d.kind = 'sync') AS sync_operations,
       coalesce(sum(d.synced), 0)::bigint AS leads_synced,
       coalesce(sum(d.sync_failed), 0)::bigint AS leads_failed,
       count(*) FILTER (WHERE d.kind = 'migration') AS migration_operations,
       count(*) FILTER (WHERE d.kind = 'error') AS errors,
       count(DISTINCT d.session_id) AS sessions,
       jsonb_build_object(
           'excellent', count(*) FILTER (WHERE d.tier = 'excellent'), 'good', count(*) FILTER (WHERE d.tier = 'good'),
           'acceptable', count(*) FILTER (WHERE d.tier = 'acceptable'), 'slow', count(*) FILTER (WHERE d.tier = 'slow'),
           'very_slow', count(*) FILTER (WHERE d.tier = 'very_slow')) AS performance_tiers
FROM (
    -- One day at a time, so that a filter by day reads only the records of that day.
    SELECT g.day AS start, g.day + interval '1 day' AS until, (g.day AT TIME ZONE 'UTC')::date AS day
    FROM generate_series(
        date_bin('1 day', now() - interval '400 days', '2024-01-01 00:00:00+00'), now(), interval '1 day') AS g (day)
) t
CROSS JOIN LATERAL (
    SELECT t.day, 'database' AS kind, success, execution_time_ms AS ms, duplicate_detected AS duplicate,
           NULL::double precision AS synced, NULL::double precision AS sync_failed, session_id, performance_tier AS tier
    FROM compat.database_operations
    WHERE "timestamp" >= t.start AND "timestamp" < t.until
    UNION ALL
    SELECT t.day, 'sync', success, NULL, NULL, leads_synced, leads_failed, session_id, NULL
    FROM compat.sync_operations
    WHERE "timestamp" >= t.start AND "timestamp" < t.until
    UNION ALL
    SELECT t.day, 'migration', success, NULL, NULL, NULL, NULL, session_id, NULL
    FROM compat.migration_operations
    WHERE "timestamp" >= t.start AND "timestamp" < t.until
    UNION ALL
    SELECT t.day, 'error', false, NULL, NULL, NULL, NULL, session_id, NULL
    FROM compat.error_logs
    WHERE "timestamp" >= t.start AND "timestamp" < t.until
) d
GROUP BY d.day;

COMMENT ON VIEW compat.daily_summary IS
    'Operations by day (UTC): number, success and duration. The last 400 days. Filter by day.';
COMMENT ON COLUMN compat.daily_summary.day IS 'The day, in UTC.';
COMMENT ON COLUMN compat.daily_summary.total_operations IS 'Number of database operations.';
COMMENT ON COLUMN compat.daily_summary.successful_operations IS 'Number of those that succeeded.';
COMMENT ON COLUMN compat.daily_summary.failed_operations IS 'Number of those that failed.';
COMMENT ON COLUMN compat.daily_summary.success_rate IS 'Fraction that succeeded, 0 to 1.';
COMMENT ON COLUMN compat.daily_summary.avg_execution_time_ms IS
    'Mean duration of a database operation in milliseconds.';
COMMENT ON COLUMN compat.daily_summary.p95_execution_time_ms IS '95th percentile of that duration.';
COMMENT ON COLUMN compat.daily_summary.duplicates_detected IS 'Database operations that found an existing record.';
COMMENT ON COLUMN compat.daily_summary.sync_operations IS 'Number of synchronisations.';
COMMENT ON COLUMN compat.daily_summary.leads_synced IS 'Records synchronised successfully.';
COMMENT ON COLUMN compat.daily_summary.leads_failed IS 'Records that failed to synchronise.';
COMMENT ON COLUMN compat.daily_summary.migration_operations IS 'Number of migrations.';
COMMENT ON COLUMN compat.daily_summary.errors IS 'Number of recorded errors.';
COMMENT ON COLUMN compat.daily_summary.sessions IS 'Number of sessions with operations.';
COMMENT ON COLUMN compat.daily_summary.performance_tiers IS 'Database operations by performance tier.';
