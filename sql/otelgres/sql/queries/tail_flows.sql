SELECT t.row_id, t.time, t.received_at, t.service_name, t.name, f.duration_ms, f.span_count, f.error_count, f.status,
       f.last_checkpoint, f.services, t.flow_id, t.span_id
FROM otel.tail_spans(
    %(seen)s::pg_snapshot, %(since)s, %(service)s, %(errors_only)s, %(contains)s, %(flow)s, true) t
LEFT JOIN otel.flows f ON f.flow_id = t.flow_id
ORDER BY t.received_at, t.time
