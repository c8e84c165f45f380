CREATE OR REPLACE VIEW otel.spans AS
SELECT encode(uuid_send(s.trace_id), 'hex') AS trace_id,
       encode(s.span_id, 'hex') AS span_id,
       encode(s.parent_span_id, 'hex') AS parent_span_id,
       s.trace_id AS flow_id,
       r.service_name,
       s.name,
       _otel.span_kind(s.kind) AS kind,
       s.start_time,
       _otel.time_of(s.end_time_unix_nano) AS end_time,
       s.start_time_unix_nano,
       s.end_time_unix_nano,
       (s.end_time_unix_nano - s.start_time_unix_nano)::double precision / 1e6 AS duration_ms,
       s.end_time_unix_nano - s.start_time_unix_nano AS duration_ns,
       _otel.span_status(s.status_code) AS status_code,
       s.status_message,
       coalesce(s.attributes, '{}') AS attributes,
       coalesce(s.events, '[]') AS events,
       coalesce(s.links, '[]') AS links,
       r.attributes AS resource_attributes,
       c.name AS scope_name,
       c.version AS scope_version,
       c.attributes AS scope_attributes,
       s.trace_state,
       s.flags,
       s.dropped_attributes_count,
       s.dropped_events_count,
       s.dropped_links_count,
       s.repaired,
       s.received_at,
       s.tenant_id
FROM _otel.spans s
LEFT JOIN _otel.resources r ON r.id = s.resource_id
LEFT JOIN _otel.scopes c ON c.id = s.scope_id;

COMMENT ON VIEW otel.spans IS
    'All spans. Filter by start_time (prunes days), flow_id (index) or trace_id (block range index).';
COMMENT ON COLUMN otel.spans.trace_id IS 'The trace id as 32 hex digits.';
COMMENT ON COLUMN otel.spans.span_id IS 'The span id as 16 hex digits.';
COMMENT ON COLUMN otel.spans.parent_span_id IS 'The parent''s span id as 16 hex digits; NULL for a root.';
COMMENT ON COLUMN otel.spans.flow_id IS 'The trace id as uuid; the fastest filter for a trace.';
COMMENT ON COLUMN otel.spans.service_name IS 'service.name of the resource.';
COMMENT ON COLUMN otel.spans.name IS 'Name of the span.';
COMMENT ON COLUMN otel.spans.kind IS
    'UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER; the number if it is unknown.';
COMMENT ON COLUMN otel.spans.start_time IS
    'Start time, by the clock of the sender. 1970-01-01 if out of range: start_time_unix_nano has the original value.';
COMMENT ON COLUMN otel.spans.end_time IS 'End time, by the clock of the sender.';
COMMENT ON COLUMN otel.spans.start_time_unix_nano IS 'Start time in nanoseconds since 1970.';
COMMENT ON COLUMN otel.spans.end_time_unix_nano IS 'End time in nanoseconds since 1970.';
COMMENT ON COLUMN otel.spans.duration_ms IS
    'From start to end in milliseconds; negative if the end is before the start.';
COMMENT ON COLUMN otel.spans.duration_ns IS
    'From start to end in nanoseconds; negative if the end is before the start.';
COMMENT ON COLUMN otel.spans.status_code IS 'UNSET, OK or ERROR; the number if it is unknown.';
COMMENT ON COLUMN otel.spans.status_message IS 'Status message, usually of an error.';
COMMENT ON COLUMN otel.spans.attributes IS 'Attributes, an object.';
COMMENT ON COLUMN otel.spans.events IS
    'Array of {time_unix_nano, name, attributes, dropped_attributes_count}; includes exceptions.';
COMMENT ON COLUMN otel.spans.links IS
    'Array of {trace_id, span_id, trace_state, flags, attributes, dropped_attributes_count}.';
COMMENT ON COLUMN otel.spans.resource_attributes IS 'Resource attributes: host, process, deployment …';
COMMENT ON COLUMN otel.spans.scope_name IS 'Name of the instrumentation scope.';
COMMENT ON COLUMN otel.spans.scope_version IS 'Version of the instrumentation scope.';
COMMENT ON COLUMN otel.spans.scope_attributes IS 'Attributes of the instrumentation scope.';
COMMENT ON COLUMN otel.spans.trace_state IS 'W3C tracestate; NULL if not set.';
COMMENT ON COLUMN otel.spans.flags IS
    'Bits 0 to 7: W3C trace flags; bit 8: whether it is known if the parent is remote; bit 9: whether the parent is '
    'remote.';
COMMENT ON COLUMN otel.spans.dropped_attributes_count IS 'Number of attributes that the sender dropped.';
COMMENT ON COLUMN otel.spans.dropped_events_count IS 'Number of events that the sender dropped.';
COMMENT ON COLUMN otel.spans.dropped_links_count IS 'Number of links that the sender dropped.';
COMMENT ON COLUMN otel.spans.repaired IS 'Values that a column cannot represent: field -> exact value. NULL if none.';
COMMENT ON COLUMN otel.spans.received_at IS 'When the row was written.';
COMMENT ON COLUMN otel.spans.tenant_id IS 'Number of the tenant (resource attribute tenant.id); 0 if none.';
