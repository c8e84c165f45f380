SELECT span_id, parent_span_id, name, type, service_name, start_time
FROM otel.span_starts
WHERE flow_id = %(flow)s AND open
ORDER BY start_time
LIMIT %(most)s
