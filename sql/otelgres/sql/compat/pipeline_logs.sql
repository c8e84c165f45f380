SELECT _otel.define_view('pipeline_logs',
'{"experiment_name": {"attributes": ["experiment_name"], "type": "text"},
  "node_id": {"attributes": ["node_id"], "type": "text"},
  "stage": {"attributes": ["stage"], "type": "text"},
  "performance": {"attributes": ["performance"], "type": "jsonb"}}', $view$
SELECT hashtextextended(coalesce(l.uid::text, (l.trace_id, l.span_id, l.time_unix_nano, l.body)::text), 0) AS id,
       l.time AS "timestamp",
       -- Must be identical to the expression of the index logs_experiments; level below to that of logs_problems.
       CASE WHEN attributes ->> 'experiment_id' ~ '^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$'
            THEN (attributes ->> 'experiment_id')::uuid END AS experiment_id,
       {{experiment_name}} AS experiment_name,
       {{node_id}} AS node_id,
       {{stage}} AS stage,
       CASE
           WHEN l.severity_number BETWEEN 1 AND 4 THEN 'TRACE'
           WHEN l.severity_number BETWEEN 5 AND 8 THEN 'DEBUG'
           WHEN l.severity_number BETWEEN 9 AND 12 THEN 'INFO'
           WHEN l.severity_number BETWEEN 13 AND 16 THEN 'WARNING'
           WHEN l.severity_number BETWEEN 17 AND 20 THEN 'ERROR'
           WHEN l.severity_number BETWEEN 21 AND 24 THEN 'CRITICAL'
           ELSE 'NOTSET'
       END AS level,
       c.name AS logger,
       coalesce(l.body, l.body_value ->> '$string', l.body_value #>> '{}', '') AS message,
       coalesce(attributes, '{}') - '{exception.type,exception.message,exception.stacktrace,exception.escaped,code.file.path,
           code.function.name,code.line.number,process.pid,thread.id,thread.name,asyncio.task.name,log.record.uid,
           performance}'::text[] AS context,
       attributes ->> 'exception.type' AS error_type,
       attributes ->> 'exception.message' AS error_message,
       attributes ->> 'exception.stacktrace' AS traceback,
       {{performance}} AS performance,
       r.service_name,
       l.trace_id AS flow_id,
       encode(l.span_id, 'hex') AS span_id,
       l.received_at AS created_at{{...}}
FROM _otel.logs l
LEFT JOIN (SELECT d.id, d.service_name, d.attributes AS resource_attributes FROM _otel.resources d) r ON r.id = l.resource_id
LEFT JOIN (SELECT s.id, s.name FROM _otel.scopes s) c ON c.id = l.scope_id
WHERE attributes ? 'experiment_id' AND (l.event_name IS NULL OR l.event_name NOT LIKE 'otelgres.%')
$view$);

COMMENT ON VIEW compat.pipeline_logs IS
    'Log records of experiments: those with the attribute experiment_id. Filter by experiment_id or timestamp.';
COMMENT ON COLUMN compat.pipeline_logs.id IS 'Stable id of the record.';
COMMENT ON COLUMN compat.pipeline_logs."timestamp" IS 'When it was written.';
COMMENT ON COLUMN compat.pipeline_logs.experiment_id IS
    'The experiment: attribute experiment_id; NULL if it is not a uuid.';
COMMENT ON COLUMN compat.pipeline_logs.experiment_name IS 'Name of the experiment.';
COMMENT ON COLUMN compat.pipeline_logs.node_id IS 'The node of the pipeline.';
COMMENT ON COLUMN compat.pipeline_logs.stage IS 'The stage.';
COMMENT ON COLUMN compat.pipeline_logs.level IS
    'DEBUG, INFO, WARNING, ERROR or CRITICAL; TRACE and NOTSET from other senders.';
COMMENT ON COLUMN compat.pipeline_logs.logger IS 'Name of the logger.';
COMMENT ON COLUMN compat.pipeline_logs.message IS 'The message.';
COMMENT ON COLUMN compat.pipeline_logs.context IS
    'Its fields and context: the attributes that have no column of their own.';
COMMENT ON COLUMN compat.pipeline_logs.error_type IS 'Class of the exception; NULL without one.';
COMMENT ON COLUMN compat.pipeline_logs.error_message IS 'Message of the exception.';
COMMENT ON COLUMN compat.pipeline_logs.traceback IS 'The complete traceback.';
COMMENT ON COLUMN compat.pipeline_logs.performance IS 'From attribute performance.';
COMMENT ON COLUMN compat.pipeline_logs.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.pipeline_logs.flow_id IS 'The flow in which it happened; NULL if none.';
COMMENT ON COLUMN compat.pipeline_logs.span_id IS 'The span in which it happened.';
COMMENT ON COLUMN compat.pipeline_logs.created_at IS 'When it was stored.';
