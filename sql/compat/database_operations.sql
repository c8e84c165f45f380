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
SELECT hashtextextended(s.trace_id || s.span_id, 0),
       s.start_time,
       coalesce(s.attributes ->> 'session.id', left(s.trace_id, 8)),
       s.service_name,
       o.operation,
       s.status_code <> 'ERROR',
       NULL::double precision,
       s.duration_ms,
       NULL::boolean,
       CASE
           WHEN s.duration_ms < 200 THEN 'excellent'
           WHEN s.duration_ms < 500 THEN 'good'
           WHEN s.duration_ms < 1000 THEN 'acceptable'
           WHEN s.duration_ms < 5000 THEN 'slow'
           ELSE 'very_slow'
       END,
       jsonb_build_object('operation_successful', s.status_code <> 'ERROR'),
       jsonb_build_object(
           'log_type', 'database_operation',
           'session_id', coalesce(s.attributes ->> 'session.id', left(s.trace_id, 8)),
           'timestamp', s.start_time,
           'operation_details', jsonb_build_object(
               'operation_type', o.operation, 'success', s.status_code <> 'ERROR', 'execution_time_ms', s.duration_ms),
           'performance_metrics', jsonb_build_object('execution_time_ms', s.duration_ms),
           'training_labels', jsonb_build_object('operation_successful', s.status_code <> 'ERROR')),
       s.flow_id,
       s.attributes{{...}}
FROM otel.spans s
CROSS JOIN LATERAL (
    SELECT lower(coalesce(
        s.attributes ->> 'db.operation.name', s.attributes ->> 'db.operation',
        substring(coalesce(s.attributes ->> 'db.query.text', s.attributes ->> 'db.statement') FROM '^\s*(\w+)'), s.name)) AS operation
) o
WHERE s.kind = 'CLIENT' AND (s.attributes ? 'db.system' OR s.attributes ? 'db.system.name')
$view$);

COMMENT ON VIEW compat.database_operations IS
    'Database operations: those recorded by otel_setup.operations, and the spans of instrumented database drivers. Filter by timestamp.';
COMMENT ON COLUMN compat.database_operations.id IS 'A number for the record, always the same.';
COMMENT ON COLUMN compat.database_operations."timestamp" IS 'When it was recorded.';
COMMENT ON COLUMN compat.database_operations.session_id IS 'Which operations belong together.';
COMMENT ON COLUMN compat.database_operations.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.database_operations.operation_type IS 'What was done: add_lead, select …';
COMMENT ON COLUMN compat.database_operations.success IS 'Whether it was.';
COMMENT ON COLUMN compat.database_operations.records_affected IS 'How many records it touched.';
COMMENT ON COLUMN compat.database_operations.execution_time_ms IS 'How long it took, in milliseconds.';
COMMENT ON COLUMN compat.database_operations.duplicate_detected IS 'Whether it met a record that was there already.';
COMMENT ON COLUMN compat.database_operations.performance_tier IS 'excellent, good, acceptable, slow or very_slow.';
COMMENT ON COLUMN compat.database_operations.training_labels IS 'Labels for training, as in the document.';
COMMENT ON COLUMN compat.database_operations.document IS 'The whole document, as it stands in the JSON-lines files.';
COMMENT ON COLUMN compat.database_operations.flow_id IS 'The flow in which it happened; NULL outside of one.';
COMMENT ON COLUMN compat.database_operations.attributes IS 'Attributes of the record, those of its context among them.';
