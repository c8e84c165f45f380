SELECT w.type, w.name, w.service_name, w.start_time, w.state, w.reason, w.last_seen
FROM otel.in_flight w
WHERE w.start_time > now() - interval '1 day'
ORDER BY w.state = 'abandoned', w.start_time
LIMIT 8
