SELECT CASE WHEN name = 'otelgres_requests_rejected_total' THEN 'any' ELSE labels ->> 'signal' END AS signal,
       coalesce(labels ->> 'reason', labels ->> 'outcome') AS reason,
       sum(value)::bigint AS requests
FROM otel.receivers
WHERE last_seen > now() - interval '1 day' AND value > 0
  AND (name = 'otelgres_requests_rejected_total'
       OR name = 'otelgres_requests_total' AND labels ->> 'outcome' NOT IN ('accepted', 'partial'))
GROUP BY 1, 2
ORDER BY requests DESC
LIMIT 20
