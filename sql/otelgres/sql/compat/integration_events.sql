SELECT _otel.define_view('integration_events',
'{"event_type": {"attributes": ["event_type"], "type": "text"},
  "source_system": {"attributes": ["source_system"], "type": "text"},
  "channel": {"attributes": ["channel"], "type": "text"},
  "symbol": {"attributes": ["symbol"], "type": "text"},
  "pattern_name": {"attributes": ["pattern_name", "pattern"], "type": "text"},
  "confidence": {"attributes": ["confidence"], "type": "numeric"},
  "user_count": {"attributes": ["user_count"], "type": "integer"},
  "latency_ms": {"attributes": ["latency_ms"], "type": "numeric"}}', $view$
SELECT hashtextextended(encode(uuid_send(s.trace_id), 'hex') || encode(s.span_id, 'hex'), 0) AS id,
       s.trace_id AS flow_id,
       s.start_time AS "timestamp",
       coalesce({{event_type}}, 'pattern_detected') AS event_type,
       coalesce({{source_system}}, r.service_name) AS source_system,
       s.name AS checkpoint,
       {{channel}} AS channel,
       {{symbol}} AS symbol,
       {{pattern_name}} AS pattern_name,
       {{confidence}} AS confidence,
       {{user_count}} AS user_count,
       coalesce(s.attributes -> 'details', s.attributes, '{}') AS details,
       {{latency_ms}} AS latency_ms,
       s.received_at AS created_at{{...}}
FROM (SELECT p.trace_id, p.span_id, p.start_time, p.name, p.attributes, p.received_at, p.resource_id FROM _otel.spans p WHERE p.role = 3) s
LEFT JOIN (SELECT d.id, d.service_name FROM _otel.resources d) r ON r.id = s.resource_id
UNION ALL
SELECT hashtextextended(l.uid::text, 0),
       l.trace_id,
       l.time,
       {{event_type}},
       coalesce({{source_system}}, r.service_name),
       l.attributes ->> 'checkpoint',
       {{channel}},
       {{symbol}},
       {{pattern_name}},
       {{confidence}},
       {{user_count}},
       coalesce(l.body_value, '{}'),
       {{latency_ms}},
       l.received_at{{...}}
FROM (
    SELECT e.uid, e.trace_id, e.time, e.attributes, e.body_value, e.received_at, e.resource_id FROM _otel.logs e
    WHERE e.event_name IN ('otelgres.heartbeat', 'otelgres.subscription')
) l
LEFT JOIN (SELECT d.id, d.service_name FROM _otel.resources d) r ON r.id = l.resource_id
$view$);

COMMENT ON VIEW compat.integration_events IS
    'Checkpoints, heartbeats and subscriptions of communicating systems. Filter by timestamp or flow_id.';
COMMENT ON COLUMN compat.integration_events.id IS 'Stable id of the event.';
COMMENT ON COLUMN compat.integration_events.flow_id IS
    'The flow; NULL for heartbeats and subscriptions outside a flow.';
COMMENT ON COLUMN compat.integration_events."timestamp" IS 'When it happened.';
COMMENT ON COLUMN compat.integration_events.event_type IS
    'pattern_detected, heartbeat, subscription_active, subscription_confirmed, or a type of the application.';
COMMENT ON COLUMN compat.integration_events.source_system IS
    'The reporting system; the service if it has no other name.';
COMMENT ON COLUMN compat.integration_events.checkpoint IS 'The checkpoint.';
COMMENT ON COLUMN compat.integration_events.channel IS 'The channel.';
COMMENT ON COLUMN compat.integration_events.symbol IS 'From attribute symbol.';
COMMENT ON COLUMN compat.integration_events.pattern_name IS 'From attribute pattern_name or pattern.';
COMMENT ON COLUMN compat.integration_events.confidence IS 'Confidence of the detection.';
COMMENT ON COLUMN compat.integration_events.user_count IS 'Number of users to whom it was delivered.';
COMMENT ON COLUMN compat.integration_events.details IS 'Further details; for a heartbeat its statistics.';
COMMENT ON COLUMN compat.integration_events.latency_ms IS 'Latency measured by the application, in milliseconds.';
COMMENT ON COLUMN compat.integration_events.created_at IS 'When it was stored.';
