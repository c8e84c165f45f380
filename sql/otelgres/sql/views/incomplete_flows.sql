-- Incomplete: an expected checkpoint is missing; without declared expectations, the root has not ended. A flow of
-- checkpoints only, outside flow(), has no root: without expectations it is never incomplete.
CREATE OR REPLACE VIEW otel.incomplete_flows AS
SELECT f.flow_id,
       f.name,
       f.start_time,
       f.last_checkpoint,
       f.last_checkpoint_time,
       f.complete,
       f.checkpoint_path,
       e.checkpoints AS expected,
       m.missing,
       coalesce(
           e.causes ->> m.missing[1],
           CASE
               WHEN m.missing[1] IS NOT NULL THEN format(
                   'it stopped before %s%s', m.missing[1], coalesce(', after ' || f.last_checkpoint, ''))
               WHEN NOT f.complete THEN coalesce(
                   'its root has not ended; last seen at ' || f.last_checkpoint, 'its root has not ended')
           END) AS likely_cause,
       now() - coalesce(f.last_checkpoint_time, f.start_time) AS age,
       f.services,
       f.error_count
FROM otel.flows f
LEFT JOIN otel.expected_checkpoints e ON e.flow_name = coalesce(f.flow_name, f.name)
    -- Those of a tenant apply to flows that have no other spans.
    AND (e.tenant IS NULL OR f.span_count = (
        SELECT sum(q.span_count) FROM _otel.flow_parts q JOIN _otel.tenant_ids n ON n.id = q.tenant_id
        WHERE q.trace_id = f.flow_id AND n.name = e.tenant))
CROSS JOIN LATERAL (
    SELECT coalesce(
        array_agg(x.checkpoint ORDER BY x.n) FILTER (WHERE x.checkpoint <> ALL (f.checkpoint_path)), '{}') AS missing
    FROM unnest(e.checkpoints) WITH ORDINALITY AS x (checkpoint, n)
) m
WHERE m.missing <> '{}'
   OR (e.flow_name IS NULL AND NOT f.complete AND (f.flow_name IS NOT NULL OR f.checkpoint_count < f.span_count));

COMMENT ON VIEW otel.incomplete_flows IS
    'Flows that lack an expected checkpoint or, without declared expectations, whose root span has not ended. Filter '
    'by start_time or flow_id.';
COMMENT ON COLUMN otel.incomplete_flows.flow_id IS 'The flow.';
COMMENT ON COLUMN otel.incomplete_flows.name IS 'Name of the flow.';
COMMENT ON COLUMN otel.incomplete_flows.start_time IS 'Start time.';
COMMENT ON COLUMN otel.incomplete_flows.last_checkpoint IS 'The latest checkpoint that it passed.';
COMMENT ON COLUMN otel.incomplete_flows.last_checkpoint_time IS 'When it passed the latest checkpoint.';
COMMENT ON COLUMN otel.incomplete_flows.complete IS 'Whether its root span has ended.';
COMMENT ON COLUMN otel.incomplete_flows.checkpoint_path IS 'The checkpoints that it passed, in order of time.';
COMMENT ON COLUMN otel.incomplete_flows.expected IS
    'Expected checkpoints (otel.expected_checkpoints); NULL if none are declared.';
COMMENT ON COLUMN otel.incomplete_flows.missing IS 'Expected checkpoints that it has not passed, in order.';
COMMENT ON COLUMN otel.incomplete_flows.likely_cause IS 'Likely cause.';
COMMENT ON COLUMN otel.incomplete_flows.age IS 'Time since its latest checkpoint, else since its start.';
COMMENT ON COLUMN otel.incomplete_flows.services IS 'The services that took part.';
COMMENT ON COLUMN otel.incomplete_flows.error_count IS 'Number of spans that failed.';
