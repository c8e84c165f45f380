SELECT s.start_time, s.end_time AS last_seen, s.name, s.execution_id AS run, s.services, s.failure_type AS reason,
       (SELECT f.last_checkpoint FROM otel.flows f WHERE f.flow_id = s.execution_id) AS last_checkpoint
FROM compat.execution_summary s
WHERE s.start_time >= %(since)s AND s.start_time < %(until)s AND s.state = 'abandoned'
ORDER BY s.start_time
