SELECT effect, source, signal, reason, sum(count)::bigint AS count, max(at)::timestamptz(0)::text AS last, max(sample) AS sample
FROM otel.losses
WHERE at > now() - interval '24 hours'
GROUP BY effect, source, signal, reason
ORDER BY count DESC
LIMIT 20
