-- Failed orders by exception type, each with its latest flow.
SELECT e.error, e.count, e.status_message, e.flow_id, f.last_checkpoint
FROM (
    SELECT DISTINCT ON (split_part(s.status_message, ':', 1))
           split_part(s.status_message, ':', 1) AS error,
           count(*) OVER (PARTITION BY split_part(s.status_message, ':', 1)) AS count,
           s.status_message, s.flow_id
    FROM otel.spans s
    WHERE s.start_time >= %(since)s AND s.resource_attributes ->> 'otelgres.demo.run' = %(run)s
        AND s.name = 'order' AND s.status_code = 'ERROR'
    ORDER BY split_part(s.status_message, ':', 1), s.start_time DESC
) e
JOIN otel.flows f ON f.flow_id = e.flow_id AND f.start_time >= %(since)s
ORDER BY e.count DESC, e.error
