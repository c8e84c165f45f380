CREATE OR REPLACE VIEW otel.span_starts AS
SELECT l.trace_id AS flow_id,
       encode(uuid_send(l.trace_id), 'hex') AS trace_id,
       encode(l.span_id, 'hex') AS span_id,
       l.attributes ->> 'otelgres.parent.span_id' AS parent_span_id,
       l.attributes ->> 'otelgres.span.name' AS name,
       l.attributes ->> 'otelgres.type' AS type,
       l.attributes ->> 'otelgres.flow.name' AS flow_name,
       r.service_name,
       l.time AS start_time,
       l.time_unix_nano AS start_time_unix_nano,
       NOT EXISTS (
           SELECT FROM _otel.spans s
           WHERE s.trace_id = l.trace_id AND s.span_id = l.span_id AND s.start_time = l.time
       ) AS open,
       l.attributes,
       r.attributes AS resource_attributes,
       l.received_at
FROM _otel.logs l
LEFT JOIN _otel.resources r ON r.id = l.resource_id
WHERE l.event_name = 'otelgres.span.start';

COMMENT ON VIEW otel.span_starts IS
    'Flows and phases that began, told by otel_setup when they did. Those that are open have not ended: at work, hanging or dead.';
COMMENT ON COLUMN otel.span_starts.flow_id IS 'The trace id as uuid.';
COMMENT ON COLUMN otel.span_starts.trace_id IS 'The trace id as 32 hex digits.';
COMMENT ON COLUMN otel.span_starts.span_id IS 'The span that began, as 16 hex digits.';
COMMENT ON COLUMN otel.span_starts.parent_span_id IS 'The span within which it began; NULL for a root.';
COMMENT ON COLUMN otel.span_starts.name IS 'Its name.';
COMMENT ON COLUMN otel.span_starts.type IS 'flow or phase.';
COMMENT ON COLUMN otel.span_starts.flow_name IS 'What the application calls the flow.';
COMMENT ON COLUMN otel.span_starts.service_name IS 'The service that began it.';
COMMENT ON COLUMN otel.span_starts.start_time IS 'When it began.';
COMMENT ON COLUMN otel.span_starts.start_time_unix_nano IS 'start_time exactly, in nanoseconds since 1970.';
COMMENT ON COLUMN otel.span_starts.open IS 'Whether its end has not arrived.';
COMMENT ON COLUMN otel.span_starts.attributes IS 'Attributes of the start record, process.pid among them.';
COMMENT ON COLUMN otel.span_starts.resource_attributes IS 'Attributes of its resource.';
COMMENT ON COLUMN otel.span_starts.received_at IS 'When the start was stored.';
