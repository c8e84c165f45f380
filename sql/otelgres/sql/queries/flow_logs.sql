SELECT time, span_id, service_name, severity_number, severity_text, coalesce(body, event_name) AS body
FROM otel.logs
WHERE flow_id = %(flow)s
ORDER BY time, time_unix_nano
LIMIT %(most)s
