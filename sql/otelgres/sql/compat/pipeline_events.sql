SELECT _otel.define_view('pipeline_events',
'{"experiment_name": {"attributes": ["experiment_name"], "type": "text"},
  "node_id": {"attributes": ["node_id"], "type": "text"},
  "stage": {"attributes": ["stage"], "type": "text"}}', $view$
SELECT hashtextextended(l.uid::text, 0) AS id,
       l.time AS "timestamp",
       CASE WHEN attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
            THEN (attributes ->> 'experiment_id')::uuid END AS experiment_id,
       {{experiment_name}} AS experiment_name,
       {{node_id}} AS node_id,
       {{stage}} AS stage,
       attributes ->> 'pipeline.event_type' AS event_type,
       CASE
           WHEN l.severity_number BETWEEN 1 AND 4 THEN 'TRACE'
           WHEN l.severity_number BETWEEN 5 AND 8 THEN 'DEBUG'
           WHEN l.severity_number BETWEEN 9 AND 12 THEN 'INFO'
           WHEN l.severity_number BETWEEN 13 AND 16 THEN 'WARNING'
           WHEN l.severity_number BETWEEN 17 AND 20 THEN 'ERROR'
           WHEN l.severity_number BETWEEN 21 AND 24 THEN 'CRITICAL'
           ELSE 'NOTSET'
       END AS severity,
       coalesce(l.body, l.body_value ->> '$string', l.body_value #>> '{}') AS message,
       coalesce(attributes -> 'pipeline.details', '{}') AS details,
       r.service_name,
       l.trace_id AS flow_id,
       encode(l.span_id, 'hex') AS span_id,
       l.received_at AS created_at{{...}}
FROM _otel.logs l
LEFT JOIN (SELECT d.id, d.service_name, d.attributes AS resource_attributes FROM _otel.resources d) r ON r.id = l.resource_id
WHERE l.event_name = 'otelgres.pipeline' AND attributes ? 'experiment_id'
$view$);

COMMENT ON VIEW compat.pipeline_events IS
    'Events that pipelines recorded with pipeline_event(). Filter by experiment_id or timestamp.';
COMMENT ON COLUMN compat.pipeline_events.id IS 'Stable id of the event.';
COMMENT ON COLUMN compat.pipeline_events."timestamp" IS 'When it happened.';
COMMENT ON COLUMN compat.pipeline_events.experiment_id IS
    'The experiment: attribute experiment_id; NULL if it is not a uuid.';
COMMENT ON COLUMN compat.pipeline_events.experiment_name IS 'Name of the experiment.';
COMMENT ON COLUMN compat.pipeline_events.node_id IS 'The node of the pipeline.';
COMMENT ON COLUMN compat.pipeline_events.stage IS 'The stage.';
COMMENT ON COLUMN compat.pipeline_events.event_type IS 'Type of the event.';
COMMENT ON COLUMN compat.pipeline_events.severity IS 'DEBUG, INFO, WARNING, ERROR or CRITICAL.';
COMMENT ON COLUMN compat.pipeline_events.message IS 'The message.';
COMMENT ON COLUMN compat.pipeline_events.details IS 'Further details, an object.';
COMMENT ON COLUMN compat.pipeline_events.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.pipeline_events.flow_id IS 'The flow in which it happened; NULL if none.';
COMMENT ON COLUMN compat.pipeline_events.span_id IS 'The span in which it happened.';
COMMENT ON COLUMN compat.pipeline_events.created_at IS 'When it was stored.';
