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
    'Liveness reports of processes with open flows or phases, and their orderly shutdowns, sent by otel_setup. Filter '
    'by time.';
COMMENT ON COLUMN otel.process_liveness.time IS 'When the report was made.';
COMMENT ON COLUMN otel.process_liveness.event IS 'alive, or end for an orderly shutdown.';
COMMENT ON COLUMN otel.process_liveness.service_name IS 'The service.';
COMMENT ON COLUMN otel.process_liveness.instance_id IS 'service.instance.id, unique to the process.';
COMMENT ON COLUMN otel.process_liveness.pid IS 'The process id.';
COMMENT ON COLUMN otel.process_liveness.host_name IS 'The host.';
COMMENT ON COLUMN otel.process_liveness.open_work IS 'Number of open flows and phases.';
COMMENT ON COLUMN otel.process_liveness."interval" IS 'Interval between reports.';
COMMENT ON COLUMN otel.process_liveness.attributes IS 'Attributes of the record.';
COMMENT ON COLUMN otel.process_liveness.resource_attributes IS 'Resource attributes.';
COMMENT ON COLUMN otel.process_liveness.received_at IS 'When it was stored.';
