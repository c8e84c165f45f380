CREATE OR REPLACE VIEW otel.flows AS
SELECT f.trace_id AS flow_id,
       encode(uuid_send(f.trace_id), 'hex') AS trace_id,
       coalesce(f.root_name, f.flow_name, (
           -- Only for flows without a name yet: the earliest span, read from the partition of its day.
           SELECT s.name FROM _otel.spans s
           WHERE s.trace_id = f.trace_id AND s.start_time = f.start_time
           ORDER BY s.start_time_unix_nano, s.span_id LIMIT 1
       )) AS name,
       f.flow_name,
       f.start_time,
       _otel.time_of(f.end_time_unix_nano) AS end_time,
       (f.end_time_unix_nano - f.start_time_unix_nano)::double precision / 1e6 AS duration_ms,
       f.span_count,
       f.error_count,
       f.services,
       ARRAY(SELECT c.name FROM unnest(f.checkpoints) WITH ORDINALITY AS c (time_unix_nano, name, n) ORDER BY c.n)
           AS checkpoint_path,
       (f.checkpoints[cardinality(f.checkpoints)]).name AS last_checkpoint,
       _otel.time_of((f.checkpoints[cardinality(f.checkpoints)]).time_unix_nano) AS last_checkpoint_time,
       coalesce(cardinality(f.checkpoints), 0) AS checkpoint_count,
       f.root_span_id IS NOT NULL AS complete,
       CASE
           WHEN f.root_span_id IS NOT NULL THEN _otel.span_status(f.root_status_code)
           WHEN f.error_count > 0 THEN 'ERROR'
           ELSE 'UNSET'
       END AS status,
       encode(f.root_span_id, 'hex') AS root_span_id,
       f.start_time_unix_nano,
       f.end_time_unix_nano
FROM _otel.merged_flows f;

COMMENT ON VIEW otel.flows IS
    'One row per flow (trace), updated as spans arrive, in any order. Filter by start_time, flow_id or trace_id.';
COMMENT ON COLUMN otel.flows.flow_id IS 'The trace id as uuid.';
COMMENT ON COLUMN otel.flows.trace_id IS 'The trace id as 32 hex digits.';
COMMENT ON COLUMN otel.flows.name IS
    'Name of the root span; before it has ended, the name set by the application, else the name of the earliest span.';
COMMENT ON COLUMN otel.flows.flow_name IS
    'Name of the flow set by the application (attribute otelgres.flow.name); NULL if it set none.';
COMMENT ON COLUMN otel.flows.start_time IS 'Start of the earliest span.';
COMMENT ON COLUMN otel.flows.end_time IS 'Latest end of any span so far.';
COMMENT ON COLUMN otel.flows.duration_ms IS 'From start_time to end_time, in milliseconds.';
COMMENT ON COLUMN otel.flows.span_count IS 'Number of spans, including checkpoints.';
COMMENT ON COLUMN otel.flows.error_count IS 'Number of spans with status ERROR.';
COMMENT ON COLUMN otel.flows.services IS 'Names of the services that took part, sorted.';
COMMENT ON COLUMN otel.flows.checkpoint_path IS
    'Names of the checkpoints in order of time; at most the latest 256 of each week.';
COMMENT ON COLUMN otel.flows.last_checkpoint IS 'Name of the latest checkpoint.';
COMMENT ON COLUMN otel.flows.last_checkpoint_time IS 'When the latest checkpoint was passed.';
COMMENT ON COLUMN otel.flows.checkpoint_count IS 'Length of checkpoint_path.';
COMMENT ON COLUMN otel.flows.complete IS 'Whether a root span has ended.';
COMMENT ON COLUMN otel.flows.status IS
    'Status of the root span if it has ended (UNSET, OK, ERROR); before that ERROR if any span failed, else UNSET.';
COMMENT ON COLUMN otel.flows.root_span_id IS
    'Span id of the root span (the earliest of several), 16 hex digits; NULL until one has ended.';
COMMENT ON COLUMN otel.flows.start_time_unix_nano IS 'start_time in nanoseconds since 1970.';
COMMENT ON COLUMN otel.flows.end_time_unix_nano IS 'end_time in nanoseconds since 1970.';
