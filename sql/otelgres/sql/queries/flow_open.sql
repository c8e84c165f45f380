SELECT span_id, parent_span_id, name, type, service_name, start_time, state, reason, last_seen
FROM otel.in_flight
WHERE flow_id = %(flow)s
ORDER BY start_time
LIMIT %(most)s
