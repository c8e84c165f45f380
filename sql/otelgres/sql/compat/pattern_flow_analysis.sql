SELECT _otel.define_view('pattern_flow_analysis',
'{"symbol": {"attributes": ["symbol"], "type": "text"},
  "pattern_name": {"attributes": ["pattern_name", "pattern"], "type": "text"},
  "confidence": {"attributes": ["confidence"], "type": "numeric"},
  "user_count": {"attributes": ["user_count"], "type": "integer"}}', $view$
-- From the flows, which have their times and checkpoints: a filter by start_time finds them by an index, and spans are
-- read for those only; a query that uses none of the mapped columns reads no spans.
SELECT f.flow_id,
       f.start_time,
       f.last_checkpoint_time AS end_time,
       (extract(epoch FROM f.last_checkpoint_time - f.start_time) * 1000)::numeric AS total_latency_ms,
       p.symbol,
       p.pattern_name,
       p.confidence,
       p.users_notified,
       f.checkpoint_count::bigint AS checkpoints_logged,
       f.checkpoint_path AS flow_path
FROM otel.flows f
LEFT JOIN LATERAL (
    SELECT max({{symbol}}) AS symbol, max({{pattern_name}}) AS pattern_name, max({{confidence}}) AS confidence,
           max({{user_count}}) AS users_notified
    FROM _otel.spans s
    WHERE s.trace_id = f.flow_id AND s.role = 3
        AND s.start_time >= f.start_time AND s.start_time <= f.last_checkpoint_time
) p ON true
WHERE f.checkpoint_count > 0
$view$);

COMMENT ON VIEW compat.pattern_flow_analysis IS
    'Flows that passed a checkpoint: duration, path and delivery. Filter by start_time.';
COMMENT ON COLUMN compat.pattern_flow_analysis.flow_id IS 'The flow.';
COMMENT ON COLUMN compat.pattern_flow_analysis.start_time IS
    'Start time; for a flow of checkpoints only, its first checkpoint.';
COMMENT ON COLUMN compat.pattern_flow_analysis.end_time IS 'When it passed its latest checkpoint.';
COMMENT ON COLUMN compat.pattern_flow_analysis.total_latency_ms IS 'From start_time to end_time, in milliseconds.';
COMMENT ON COLUMN compat.pattern_flow_analysis.symbol IS 'The symbol.';
COMMENT ON COLUMN compat.pattern_flow_analysis.pattern_name IS 'The detected pattern.';
COMMENT ON COLUMN compat.pattern_flow_analysis.confidence IS 'Confidence of the detection.';
COMMENT ON COLUMN compat.pattern_flow_analysis.users_notified IS 'Number of users notified.';
COMMENT ON COLUMN compat.pattern_flow_analysis.checkpoints_logged IS 'Number of checkpoints passed.';
COMMENT ON COLUMN compat.pattern_flow_analysis.flow_path IS 'The checkpoints in order of time.';
