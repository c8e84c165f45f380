CREATE OR REPLACE VIEW otel.checkpoints AS
SELECT s.trace_id AS flow_id,
       encode(uuid_send(s.trace_id), 'hex') AS trace_id,
       coalesce(s.attributes ->> 'otelgres.flow.name', f.flow_name) AS flow_name,
       s.name AS checkpoint,
       s.start_time AS time,
       s.start_time_unix_nano AS time_unix_nano,
       (s.start_time_unix_nano - f.start_time_unix_nano)::double precision / 1e6 AS since_start_ms,
       (s.start_time_unix_nano - CASE
           -- The row of the flow has its latest 256 checkpoints; only older ones are looked up in the spans.
           WHEN cardinality(f.checkpoints) < 256
               OR NOT f.linked AND s.start_time_unix_nano > (f.checkpoints[1]).time_unix_nano
           THEN (
               SELECT max(p.time_unix_nano) FROM unnest(f.checkpoints) AS p (time_unix_nano, name)
               WHERE p.time_unix_nano < s.start_time_unix_nano
           ) ELSE (
               SELECT max(p.start_time_unix_nano) FROM _otel.spans p
               WHERE p.trace_id = s.trace_id AND p.role = 3 AND p.start_time_unix_nano < s.start_time_unix_nano
                   AND p.start_time >= f.start_time AND p.start_time <= s.start_time
           )
       END)::double precision / 1e6 AS since_previous_ms,
       r.service_name,
       coalesce(s.attributes, '{}') AS attributes,
       encode(s.span_id, 'hex') AS span_id,
       encode(s.parent_span_id, 'hex') AS parent_span_id,
       _otel.span_status(s.status_code) AS status
FROM _otel.spans s
JOIN _otel.merged_flows f ON f.trace_id = s.trace_id
LEFT JOIN _otel.resources r ON r.id = s.resource_id
WHERE s.role = 3;

COMMENT ON VIEW otel.checkpoints IS
    'One row per checkpoint passed by a flow. Filter by time (prunes days) or flow_id (index).';
COMMENT ON COLUMN otel.checkpoints.flow_id IS 'The flow that passed it: the trace id as uuid.';
COMMENT ON COLUMN otel.checkpoints.trace_id IS 'The flow that passed it: the trace id as 32 hex digits.';
COMMENT ON COLUMN otel.checkpoints.flow_name IS 'Name of the flow set by the application; NULL if it set none.';
COMMENT ON COLUMN otel.checkpoints.checkpoint IS 'Name of the checkpoint.';
COMMENT ON COLUMN otel.checkpoints.time IS 'When it was passed, by the clock of the sender.';
COMMENT ON COLUMN otel.checkpoints.time_unix_nano IS 'When it was passed, in nanoseconds since 1970.';
COMMENT ON COLUMN otel.checkpoints.since_start_ms IS 'Milliseconds since the start of the flow.';
COMMENT ON COLUMN otel.checkpoints.since_previous_ms IS
    'Milliseconds since the previous checkpoint of the flow; NULL for the first.';
COMMENT ON COLUMN otel.checkpoints.service_name IS 'The service that passed it.';
COMMENT ON COLUMN otel.checkpoints.attributes IS 'Attributes of the checkpoint.';
COMMENT ON COLUMN otel.checkpoints.span_id IS 'Span id of the checkpoint itself, 16 hex digits.';
COMMENT ON COLUMN otel.checkpoints.parent_span_id IS 'The span in which it was passed, 16 hex digits; NULL if none.';
COMMENT ON COLUMN otel.checkpoints.status IS 'UNSET, OK or ERROR.';
