-- Flows within one week (nearly all) are read from the roll-up without a lookup of other parts, which would take most
-- of the time of a query over a year.
CREATE OR REPLACE VIEW compat.execution_outcomes AS
SELECT p.trace_id AS execution_id,
       p.start_time,
       p.flow_name AS name,
       p.root_span_id IS NOT NULL AS ended,
       CASE WHEN p.root_span_id IS NOT NULL THEN p.root_status_code IS DISTINCT FROM 2 END AS succeeded,
       (p.end_time_unix_nano - p.start_time_unix_nano)::double precision / 1e9 AS seconds
FROM _otel.flow_rows p
WHERE NOT p.linked AND p.flow_name IS NOT NULL
UNION ALL
SELECT f.trace_id, f.start_time, f.flow_name, f.root_span_id IS NOT NULL,
       CASE WHEN f.root_span_id IS NOT NULL THEN f.root_status_code IS DISTINCT FROM 2 END,
       (f.end_time_unix_nano - f.start_time_unix_nano)::double precision / 1e9
FROM _otel.merged_flows f
WHERE f.linked AND f.flow_name IS NOT NULL;

COMMENT ON VIEW compat.execution_outcomes IS
    'Outcome and duration of each run, for counting many runs. Filter by start_time.';
COMMENT ON COLUMN compat.execution_outcomes.execution_id IS 'The run: its trace id as uuid.';
COMMENT ON COLUMN compat.execution_outcomes.start_time IS 'Start time.';
COMMENT ON COLUMN compat.execution_outcomes.name IS 'Name of the flow.';
COMMENT ON COLUMN compat.execution_outcomes.ended IS
    'Whether its span has ended; for the others compat.execution_summary has the state.';
COMMENT ON COLUMN compat.execution_outcomes.succeeded IS
    'Whether its span ended without an error; NULL if it has not ended.';
COMMENT ON COLUMN compat.execution_outcomes.seconds IS 'From its start to the latest end of any span.';
