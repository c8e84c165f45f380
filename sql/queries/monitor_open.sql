SELECT w.type, w.name, w.service_name, w.start_time
FROM otel.span_starts w
WHERE w.start_time > now() - interval '1 day' AND w.open
ORDER BY w.start_time
LIMIT 8
