SELECT l.effect, l.source, l.signal, l.reason, sum(l.count)::bigint AS count, min(l.at) AS first_entry, max(l.at) AS last_entry
FROM otel.losses l
WHERE l.at >= %(since)s AND l.at < %(until)s
GROUP BY l.effect, l.source, l.signal, l.reason
ORDER BY l.effect, count DESC
