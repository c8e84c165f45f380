SELECT r.service_name, count(*) FILTER (WHERE r.what = 'span') AS spans, count(*) FILTER (WHERE r.what = 'log') AS logs
FROM (
    SELECT s.service_name, 'span' AS what
    FROM otel.spans s
    WHERE s.start_time >= %(since)s AND s.resource_attributes ->> 'otelgres.demo.run' = %(run)s
    UNION ALL
    SELECT l.service_name, 'log'
    FROM otel.logs l
    WHERE l.time >= %(since)s AND l.resource_attributes ->> 'otelgres.demo.run' = %(run)s
    UNION ALL
    SELECT b.service_name, 'log'
    FROM otel.span_starts b
    WHERE b.start_time >= %(since)s AND b.resource_attributes ->> 'otelgres.demo.run' = %(run)s
    UNION ALL
    SELECT p.service_name, 'log'
    FROM otel.process_liveness p
    WHERE p.time >= %(since)s AND p.resource_attributes ->> 'otelgres.demo.run' = %(run)s
) r
GROUP BY r.service_name
ORDER BY r.service_name
