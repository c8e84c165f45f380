SELECT p.phase, p.service_name, count(*) AS count,
       avg(p.duration_ms) AS avg_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY p.duration_ms) AS p95_ms,
       avg(p.self_ms) AS self_ms,
       avg(p.share) AS share
FROM otel.phase_timing p
WHERE p.start_time >= %(since)s
    AND p.flow_id IN (
        SELECT f.flow_id FROM otel.flows f WHERE f.start_time >= %(since)s AND f.flow_name = 'order'
    )
    AND p.flow_id IN (
        SELECT s.flow_id FROM otel.spans s
        WHERE s.start_time >= %(since)s AND s.resource_attributes ->> 'otelgres.demo.run' = %(run)s
    )
GROUP BY p.phase, p.service_name
ORDER BY sum(p.self_ms) DESC
LIMIT 12
