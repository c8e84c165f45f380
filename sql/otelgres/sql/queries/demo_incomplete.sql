SELECT f.flow_id, f.last_checkpoint, f.last_checkpoint_time,
       extract(epoch FROM now() - f.last_checkpoint_time)::double precision AS since_seconds,
       f.checkpoint_path,
       (SELECT b.name
        FROM otel.span_starts b
        WHERE b.flow_id = f.flow_id AND b.start_time >= %(since)s AND b.open
        ORDER BY b.start_time DESC
        LIMIT 1) AS open_phase
FROM otel.flows f
WHERE f.start_time >= %(since)s AND NOT f.complete AND f.flow_name = 'order'
    AND f.flow_id IN (
        SELECT s.flow_id FROM otel.spans s
        WHERE s.start_time >= %(since)s AND s.resource_attributes ->> 'otelgres.demo.run' = %(run)s
    )
ORDER BY f.last_checkpoint_time
