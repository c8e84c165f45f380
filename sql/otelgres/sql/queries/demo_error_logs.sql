SELECT l.flow_id, l.time, l.service_name, l.level, l.body,
       l.attributes ->> 'exception.message' AS exception_message,
       l.attributes ->> 'exception.stacktrace' AS stacktrace
FROM otel.logs l
WHERE l.flow_id = ANY (%(flow_ids)s) AND l.time >= %(since)s AND l.event_name IS NULL
ORDER BY array_position(%(flow_ids)s, l.flow_id), l.time
