SELECT start_time, name, services, duration_ms, span_count,
       CASE WHEN NOT complete THEN 'incomplete' ELSE status END AS status
FROM otel.flows
WHERE start_time > now() - interval '1 hour'
ORDER BY start_time DESC
LIMIT 10
