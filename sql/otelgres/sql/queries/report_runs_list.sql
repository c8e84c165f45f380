SELECT s.start_time, s.end_time, extract(epoch FROM s.end_time - s.start_time)::float8 AS duration_seconds, s.name, s.execution_id AS run,
       CASE WHEN s.state = 'abandoned' THEN 'abandoned' WHEN s.success THEN 'succeeded' WHEN NOT s.success THEN 'failed'
            ELSE 'running' END AS outcome,
       s.failure_type AS reason, s.failover_activated AS failover, s.started_by, s.services, s.error_count AS errors,
       s.warning_count AS warnings, s.demo_mode
FROM compat.execution_summary s
WHERE s.start_time >= %(since)s AND s.start_time < %(until)s
ORDER BY s.start_time
