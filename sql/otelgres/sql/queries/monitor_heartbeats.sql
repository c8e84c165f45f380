SELECT source_system, extract(epoch FROM age)::double precision AS age_seconds, missed, stats
FROM otel.heartbeats
ORDER BY missed DESC, source_system
LIMIT 12
