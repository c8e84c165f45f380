SELECT labels ->> 'transport' AS transport,
       coalesce(nullif(labels ->> 'signal', ''), 'none') AS signal,
       labels ->> 'reason' AS reason,
       sum(value)::bigint AS requests
FROM otel.receivers
WHERE last_seen > now() - interval '1 day' AND value > 0
  AND name = 'otelcol_receiver_requests' AND labels ->> 'outcome' <> 'success'
GROUP BY 1, 2, 3
ORDER BY requests DESC
LIMIT 20
