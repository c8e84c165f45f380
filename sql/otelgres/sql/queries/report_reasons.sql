SELECT s.name, s.failure_type AS reason, count(*) AS runs, min(s.start_time) AS first_run, max(s.start_time) AS last_run
FROM compat.execution_summary s
WHERE s.start_time >= %(since)s AND s.start_time < %(until)s AND NOT s.success
GROUP BY s.name, s.failure_type
ORDER BY runs DESC, last_run DESC
