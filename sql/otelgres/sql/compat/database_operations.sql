SELECT _otel.define_view('database_operations', '{}', $view$
SELECT hashtextextended(l.uid::text, 0) AS id,
       l.time AS "timestamp",
       l.attributes ->> 'session.id' AS session_id,
       l.service_name,
       l.body_value #>> '{operation_details,operation_type}' AS operation_type,
       (l.body_value #>> '{operation_details,success}')::boolean AS success,
       (l.body_value #>> '{operation_details,records_affected}')::double precision AS records_affected,
       (l.body_value #>> '{operation_details,execution_time_ms}')::double precision AS execution_time_ms,
       (l.body_value #>> '{operation_details,duplicate_detected}')::boolean AS duplicate_detected,
       l.body_value #>> '{training_labels,performance_tier}' AS performance_tier,
       l.body_value -> 'training_labels' AS training_labels,
       l.body_value AS document,
       l.flow_id,
       l.attributes{{...}}
FROM otel.logs l
WHERE l.event_name = 'otelgres.operation' AND l.attributes ->> 'otelgres.log_type' = 'database_operation'
UNION ALL
SELECT hashtextextended(encode(uuid_send(s.trace_id), 'hex') || encode(s.span_id, 'hex'), 0),
       s.start_time,
       o.session_id,
       r.service_name,
       o.operation,
       o.success,
       NULL::double precision,
       o.ms,
       NULL::boolean,
       CASE
           WHEN o.ms < 200 THEN 'excellent'
           WHEN o.ms < 500 THEN 'good'
           WHEN o.ms < 1000 THEN 'acceptable'
           WHEN o.ms < 5000 THEN 'slow'
           ELSE 'very_slow'
       END,
       jsonb_build_object('operation_successful', o.success),
       jsonb_build_object(
           'log_type', 'database_operation',
           'session_id', o.session_id,
           'timestamp', s.start_time,
           'operation_details', jsonb_build_object(
               'operation_type', o.operation, 'success', o.success, 'execution_time_ms', o.ms),
           'performance_metrics', jsonb_build_object('execution_time_ms', o.ms),
           'training_labels', jsonb_build_object('operation_successful', o.success)),
       s.trace_id,
       s.attributes{{...}}
-- From the table, which has an index of exactly these spans; the view has kind as text, which is not indexed.
FROM (
    SELECT p.trace_id, p.span_id, p.start_time, p.start_time_unix_nano, p.end_time_unix_nano, p.name, p.status_code,
           p.resource_id, p.attributes
    FROM _otel.spans p
    WHERE p.kind = 3 AND (p.attributes ? 'db.system' OR p.attributes ? 'db.system.name')
) s
LEFT JOIN (SELECT d.id, d.service_name, d.attributes AS resource_attributes FROM _otel.resources d) r ON r.id = s.resource_id
CROSS JOIN LATERAL (
    SELECT coalesce(s.attributes ->> 'session.id', left(encode(uuid_send(s.trace_id), 'hex'), 8)) AS session_id,
           s.status_code IS DISTINCT FROM 2 AS success,
           (s.end_time_unix_nano - s.start_time_unix_nano)::double precision / 1e6 AS ms,
           lower(coalesce(
               s.attributes ->> 'db.operation.name', s.attributes ->> 'db.operation',
               substring(coalesce(s.attributes ->> 'db.query.text', s.attributes ->> 'db.statement') FROM '^\s*(\w+)'),
               s.name)) AS operation
) o
$view$);

COMMENT ON VIEW compat.database_operations IS
    'Database operations: those recorded by otel_setup.operations, and the spans of instrumented database drivers. Filter by timestamp.';
COMMENT ON COLUMN compat.database_operations.id IS 'Stable id of the record.';
COMMENT ON COLUMN compat.database_operations."timestamp" IS 'When it was recorded.';
COMMENT ON COLUMN compat.database_operations.session_id IS 'Session of the operation.';
COMMENT ON COLUMN compat.database_operations.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.database_operations.operation_type IS 'The operation: add_lead, select …';
COMMENT ON COLUMN compat.database_operations.success IS 'Whether it succeeded.';
COMMENT ON COLUMN compat.database_operations.records_affected IS 'Number of records affected.';
COMMENT ON COLUMN compat.database_operations.execution_time_ms IS 'Duration in milliseconds.';
COMMENT ON COLUMN compat.database_operations.duplicate_detected IS 'Whether it found an existing record.';
COMMENT ON COLUMN compat.database_operations.performance_tier IS 'excellent, good, acceptable, slow or very_slow.';
COMMENT ON COLUMN compat.database_operations.training_labels IS 'Training labels, as in the document.';
COMMENT ON COLUMN compat.database_operations.document IS 'The complete document, as in the JSON-lines files.';
COMMENT ON COLUMN compat.database_operations.flow_id IS 'The flow in which it happened; NULL if none.';
COMMENT ON COLUMN compat.database_operations.attributes IS 'Attributes of the record, including its context.';
