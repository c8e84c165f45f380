CREATE OR REPLACE VIEW otel.process_liveness AS
SELECT l.time,
       CASE l.event_name WHEN 'otelgres.process.end' THEN 'end' ELSE 'alive' END AS event,
       r.service_name,
       r.attributes ->> 'service.instance.id' AS instance_id,
       _otel.number_of(coalesce(l.attributes ->> 'process.pid', r.attributes ->> 'process.pid')) AS pid,
       r.attributes ->> 'host.name' AS host_name,
       _otel.number_of(l.attributes ->> 'otelgres.open') AS open_work,
       make_interval(secs => least(greatest(_otel.number_of(l.attributes ->> 'otelgres.report.interval'), 0), 1e7)) AS "interval",
       l.attributes,
       r.attributes AS resource_attributes,
       l.received_at
FROM _otel.logs l
LEFT JOIN _otel.resources r ON r.id = l.resource_id
WHERE l.event_name IN ('otelgres.process.alive', 'otelgres.process.end');

COMMENT ON VIEW otel.process_liveness IS
    'Signs of life of processes that have work open, and of their orderly ends, told by otel_setup. Filter by time.';
COMMENT ON COLUMN otel.process_liveness.time IS 'When it was given.';
COMMENT ON COLUMN otel.process_liveness.event IS 'alive, or end: the process ends in order.';
COMMENT ON COLUMN otel.process_liveness.service_name IS 'Its service.';
COMMENT ON COLUMN otel.process_liveness.instance_id IS 'service.instance.id, which no other process has.';
COMMENT ON COLUMN otel.process_liveness.pid IS 'Its process id.';
COMMENT ON COLUMN otel.process_liveness.host_name IS 'Where it runs.';
COMMENT ON COLUMN otel.process_liveness.open_work IS 'How many flows and phases it had open.';
COMMENT ON COLUMN otel.process_liveness."interval" IS 'How often it gives a sign.';
COMMENT ON COLUMN otel.process_liveness.attributes IS 'Attributes of the record.';
COMMENT ON COLUMN otel.process_liveness.resource_attributes IS 'Attributes of its resource.';
COMMENT ON COLUMN otel.process_liveness.received_at IS 'When it was stored.';
