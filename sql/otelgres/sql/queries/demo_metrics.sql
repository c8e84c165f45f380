-- The latest point of each series; series that differ only in attributes are summed where that makes sense.
SELECT n.metric_name, n.type, n.unit, n.service_name, count(*) AS series, sum(n.points)::bigint AS points,
       sum(n.value) FILTER (WHERE n.type = 'sum') AS total,
       min(n.value) FILTER (WHERE n.type = 'gauge') AS gauge_min,
       max(n.value) FILTER (WHERE n.type = 'gauge') AS gauge_max,
       sum(n.count)::bigint AS count,
       sum(n.sum) / nullif(sum(n.count), 0)::double precision AS mean,
       max(n.max) AS max
FROM (
    SELECT DISTINCT ON (m.series_id) m.metric_name, m.type, m.unit, m.service_name, m.value, m.count, m.sum, m.max,
           count(*) OVER (PARTITION BY m.series_id) AS points
    FROM otel.metric_points m
    WHERE m.time >= %(since)s AND m.resource_attributes ->> 'otelgres.demo.run' = %(run)s
    ORDER BY m.series_id, m.time DESC
) n
GROUP BY n.metric_name, n.type, n.unit, n.service_name
ORDER BY n.service_name, n.metric_name
