CREATE OR REPLACE VIEW otel.logs AS
SELECT l.time,
       _otel.time_of(nullif(l.observed_time_unix_nano, 0)) AS observed_time,
       l.time_unix_nano,
       l.observed_time_unix_nano,
       l.severity_number,
       l.severity_text,
       CASE
           WHEN l.severity_number BETWEEN 1 AND 4 THEN 'trace'
           WHEN l.severity_number BETWEEN 5 AND 8 THEN 'debug'
           WHEN l.severity_number BETWEEN 9 AND 12 THEN 'info'
           WHEN l.severity_number BETWEEN 13 AND 16 THEN 'warn'
           WHEN l.severity_number BETWEEN 17 AND 20 THEN 'error'
           WHEN l.severity_number BETWEEN 21 AND 24 THEN 'fatal'
           ELSE 'unknown'
       END AS level,
       coalesce(l.body, l.body_value ->> '$string', l.body_value #>> '{}') AS body,
       l.body_value,
       l.event_name,
       encode(uuid_send(l.trace_id), 'hex') AS trace_id,
       encode(l.span_id, 'hex') AS span_id,
       l.trace_id AS flow_id,
       r.service_name,
       coalesce(l.attributes, '{}') AS attributes,
       r.attributes AS resource_attributes,
       c.name AS scope_name,
       c.version AS scope_version,
       c.attributes AS scope_attributes,
       l.flags,
       l.dropped_attributes_count,
       l.uid,
       l.repaired,
       l.received_at
FROM _otel.logs l
LEFT JOIN _otel.resources r ON r.id = l.resource_id
LEFT JOIN _otel.scopes c ON c.id = l.scope_id
WHERE l.event_name IS NULL
    OR l.event_name NOT IN ('otelgres.span.start', 'otelgres.process.alive', 'otelgres.process.end');

COMMENT ON VIEW otel.logs IS
    'All log records except start records (otel.span_starts) and liveness records (otel.process_liveness). Filter by '
    'time (prunes days, and newest first is an index scan), flow_id or trace_id.';
COMMENT ON COLUMN otel.logs.time IS
    'Time of the event; if the sender set none, the observed time, else the time of receipt. 1970-01-01 if out of '
    'range: time_unix_nano has the original value.';
COMMENT ON COLUMN otel.logs.observed_time IS 'When the telemetry system observed it; NULL if not set.';
COMMENT ON COLUMN otel.logs.time_unix_nano IS 'Time of the event in nanoseconds since 1970; 0 if not set.';
COMMENT ON COLUMN otel.logs.observed_time_unix_nano IS
    'When the telemetry system observed it, in nanoseconds since 1970; 0 if not set.';
COMMENT ON COLUMN otel.logs.severity_number IS '1 to 24; 9 is INFO, 13 WARN, 17 ERROR, 21 FATAL. 0 if not set.';
COMMENT ON COLUMN otel.logs.severity_text IS 'Name of the severity, as the sender wrote it.';
COMMENT ON COLUMN otel.logs.level IS 'severity_number as text: trace, debug, info, warn, error, fatal or unknown.';
COMMENT ON COLUMN otel.logs.body IS 'The message as text; a structured body as JSON text. NULL if there is no body.';
COMMENT ON COLUMN otel.logs.body_value IS 'A body that is not a plain string; NULL otherwise.';
COMMENT ON COLUMN otel.logs.event_name IS 'Name of the event; NULL for an ordinary log record.';
COMMENT ON COLUMN otel.logs.trace_id IS 'The trace in which it was written, 32 hex digits; NULL if none.';
COMMENT ON COLUMN otel.logs.span_id IS 'The span in which it was written, 16 hex digits; NULL if none.';
COMMENT ON COLUMN otel.logs.flow_id IS
    'The trace in which it was written, as uuid; the fastest filter for the logs of a trace.';
COMMENT ON COLUMN otel.logs.service_name IS 'service.name of the resource.';
COMMENT ON COLUMN otel.logs.attributes IS 'Attributes, an object; includes exception, code, thread and process.';
COMMENT ON COLUMN otel.logs.resource_attributes IS 'Resource attributes: host, process, deployment …';
COMMENT ON COLUMN otel.logs.scope_name IS 'Name of the logger (instrumentation scope).';
COMMENT ON COLUMN otel.logs.scope_version IS 'Version of the instrumentation scope.';
COMMENT ON COLUMN otel.logs.scope_attributes IS 'Attributes of the instrumentation scope.';
COMMENT ON COLUMN otel.logs.flags IS 'Bits 0 to 7: W3C trace flags.';
COMMENT ON COLUMN otel.logs.dropped_attributes_count IS 'Number of attributes that the sender dropped.';
COMMENT ON COLUMN otel.logs.uid IS
    'Attribute log.record.uid, by which a repeated record is recognised; NULL if not set.';
COMMENT ON COLUMN otel.logs.repaired IS 'Values that a column cannot represent: field -> exact value. NULL if none.';
COMMENT ON COLUMN otel.logs.received_at IS 'When the row was written.';
