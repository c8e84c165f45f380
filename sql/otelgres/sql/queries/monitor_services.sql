SELECT s.service_name, sum(s.count)::double precision / 300 AS per_second,
       sum(s.error_count)::double precision / sum(s.count) AS failed,
       (otel.latency_quantiles(otel.array_concat(s.latency_buckets), otel.array_concat(s.latency_counts), '{0.5,0.95}')) AS quantiles
FROM otel.service_stats s
WHERE s.minute > now() - interval '5 minutes'
  AND (s.kind IN ('SERVER', 'CONSUMER') OR NOT EXISTS (
      SELECT FROM otel.service_stats o
      WHERE o.minute > now() - interval '5 minutes' AND o.service_name = s.service_name AND o.kind IN ('SERVER', 'CONSUMER')))
GROUP BY s.service_name
ORDER BY 2 DESC
LIMIT 20
