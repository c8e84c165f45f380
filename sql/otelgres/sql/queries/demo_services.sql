SELECT s.service_name, count(*) AS span_count,
       count(*) FILTER (WHERE s.kind = 'SERVER' OR s.name = 'ship') / %(seconds)s::double precision AS requests_per_second,
       count(*) FILTER (WHERE s.status_code = 'ERROR') AS error_count,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY s.duration_ms)
           FILTER (WHERE s.kind = 'SERVER' OR s.name = 'ship') AS p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY s.duration_ms)
           FILTER (WHERE s.kind = 'SERVER' OR s.name = 'ship') AS p95_ms,
       max(s.duration_ms) FILTER (WHERE s.kind = 'SERVER' OR s.name = 'ship') AS max_ms
FROM otel.spans s
WHERE s.start_time >= %(since)s AND s.resource_attributes ->> 'otelgres.demo.run' = %(run)s
GROUP BY s.service_name
ORDER BY s.service_name
