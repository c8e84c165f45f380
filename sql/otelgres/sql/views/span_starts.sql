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
           WHERE s.trace_id = l.trace_id AND s.span_id = l.span_id AND s.tenant_id = coalesce(l.tenant_id, 0)
               AND s.start_time = l.time
       ) AS open,
       l.attributes,
       r.attributes AS resource_attributes,
       l.received_at
FROM _otel.logs l
LEFT JOIN _otel.resources r ON r.id = l.resource_id
WHERE l.event_name = 'otelgres.span.start';

COMMENT ON VIEW otel.span_starts IS
    'Start records of flows and phases, sent by otel_setup when they start. Open ones have not ended: running, '
    'hanging or dead.';
COMMENT ON COLUMN otel.span_starts.flow_id IS 'The trace id as uuid.';
COMMENT ON COLUMN otel.span_starts.trace_id IS 'The trace id as 32 hex digits.';
COMMENT ON COLUMN otel.span_starts.span_id IS 'Span id of the started span, 16 hex digits.';
COMMENT ON COLUMN otel.span_starts.parent_span_id IS 'Span id of the parent, 16 hex digits; NULL for a root.';
COMMENT ON COLUMN otel.span_starts.name IS 'Name of the span.';
COMMENT ON COLUMN otel.span_starts.type IS 'flow or phase.';
COMMENT ON COLUMN otel.span_starts.flow_name IS 'Name of the flow set by the application.';
COMMENT ON COLUMN otel.span_starts.service_name IS 'The service that started it.';
COMMENT ON COLUMN otel.span_starts.start_time IS 'Start time.';
COMMENT ON COLUMN otel.span_starts.start_time_unix_nano IS 'start_time in nanoseconds since 1970.';
COMMENT ON COLUMN otel.span_starts.open IS 'Whether the ended span has not arrived.';
COMMENT ON COLUMN otel.span_starts.attributes IS 'Attributes of the start record, including process.pid.';
COMMENT ON COLUMN otel.span_starts.resource_attributes IS 'Resource attributes.';
COMMENT ON COLUMN otel.span_starts.received_at IS 'When the start record was stored.';
