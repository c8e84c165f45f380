SELECT s.start_time, s.name, s.execution_id AS run, e.errors, s.success, s.failure_type, extract(epoch FROM s.end_time - s.start_time)::float8 AS duration_seconds
FROM (
    SELECT l.execution_id, count(*) AS errors FROM compat.log_events l
    WHERE l.level IN ('ERROR', 'CRITICAL') AND l."timestamp" >= %(since)s AND l."timestamp" < %(until)s
    GROUP BY l.execution_id ORDER BY count(*) DESC LIMIT 50
) e
JOIN compat.execution_summary s ON s.execution_id = e.execution_id
ORDER BY e.errors DESC, s.start_time DESC
