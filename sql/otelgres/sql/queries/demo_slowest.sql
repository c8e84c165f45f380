SELECT f.flow_id, f.duration_ms, f.span_count, f.services, f.status, f.last_checkpoint, f.checkpoint_path
FROM otel.flows f
WHERE f.start_time >= %(since)s AND f.complete AND f.flow_name = 'order'
    AND f.flow_id IN (
        SELECT s.flow_id FROM otel.spans s
        WHERE s.start_time >= %(since)s AND s.resource_attributes ->> 'otelgres.demo.run' = %(run)s
    )
ORDER BY f.duration_ms DESC
LIMIT 5
