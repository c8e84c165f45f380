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
       s.received_at
FROM _otel.spans s
LEFT JOIN _otel.resources r ON r.id = s.resource_id
LEFT JOIN _otel.scopes c ON c.id = s.scope_id;

COMMENT ON VIEW otel.spans IS
    'Every span. Filter by start_time (days are left out), flow_id (index) or trace_id (block range index).';
COMMENT ON COLUMN otel.spans.trace_id IS 'The trace id as 32 hex digits.';
COMMENT ON COLUMN otel.spans.span_id IS 'The span id as 16 hex digits.';
COMMENT ON COLUMN otel.spans.parent_span_id IS 'The parent''s span id as 16 hex digits; NULL for a root.';
COMMENT ON COLUMN otel.spans.flow_id IS 'The trace id as uuid; the fastest way to find a trace.';
COMMENT ON COLUMN otel.spans.service_name IS 'service.name of the resource.';
COMMENT ON COLUMN otel.spans.name IS 'What the span is about.';
COMMENT ON COLUMN otel.spans.kind IS 'UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER; a number if OTLP has added one.';
COMMENT ON COLUMN otel.spans.start_time IS 'When it began, by the sender''s clock. 1970-01-01 if that lies outside the bounds '
    'that are accepted: start_time_unix_nano has the truth.';
COMMENT ON COLUMN otel.spans.end_time IS 'When it ended, by the sender''s clock.';
COMMENT ON COLUMN otel.spans.start_time_unix_nano IS 'When it began, in nanoseconds since 1970.';
COMMENT ON COLUMN otel.spans.end_time_unix_nano IS 'When it ended, in nanoseconds since 1970.';
COMMENT ON COLUMN otel.spans.duration_ms IS 'From start to end in milliseconds; negative if the sender said so.';
COMMENT ON COLUMN otel.spans.duration_ns IS 'From start to end in nanoseconds; negative if the sender said so.';
COMMENT ON COLUMN otel.spans.status_code IS 'UNSET, OK or ERROR; a number if OTLP has added one.';
COMMENT ON COLUMN otel.spans.status_message IS 'What the sender said about an error.';
COMMENT ON COLUMN otel.spans.attributes IS 'The span''s attributes, an object.';
COMMENT ON COLUMN otel.spans.events IS 'Array of {time_unix_nano, name, attributes, dropped_attributes_count}; exceptions are here.';
COMMENT ON COLUMN otel.spans.links IS 'Array of {trace_id, span_id, trace_state, flags, attributes, dropped_attributes_count}.';
COMMENT ON COLUMN otel.spans.resource_attributes IS 'What the sender said about itself: host, process, deployment …';
COMMENT ON COLUMN otel.spans.scope_name IS 'The instrumentation that made it.';
COMMENT ON COLUMN otel.spans.scope_version IS 'Version of that instrumentation.';
COMMENT ON COLUMN otel.spans.scope_attributes IS 'Attributes of that instrumentation.';
COMMENT ON COLUMN otel.spans.trace_state IS 'W3C tracestate; NULL if there is none.';
COMMENT ON COLUMN otel.spans.flags IS 'Bits 0 to 7: W3C trace flags; bit 8: it is known whether the parent is remote; bit 9: it is.';
COMMENT ON COLUMN otel.spans.dropped_attributes_count IS 'Attributes that the sender left out.';
COMMENT ON COLUMN otel.spans.dropped_events_count IS 'Events that the sender left out.';
COMMENT ON COLUMN otel.spans.dropped_links_count IS 'Links that the sender left out.';
COMMENT ON COLUMN otel.spans.repaired IS 'What a column could not hold as it was: field -> its exact value. NULL: nothing.';
COMMENT ON COLUMN otel.spans.received_at IS 'When the row was written.';
