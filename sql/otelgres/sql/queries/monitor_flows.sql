SELECT f.name, f.flow_id, f.start_time, f.last_checkpoint, f.missing, extract(epoch FROM f.age)::double precision AS idle_seconds
FROM otel.incomplete_flows f
WHERE f.start_time > now() - interval '1 hour' AND NOT f.complete
ORDER BY f.start_time
LIMIT 12
