SELECT _otel.define_view('migration_operations', '{}', $view$
SELECT hashtextextended(l.uid::text, 0) AS id,
       l.time AS "timestamp",
       l.attributes ->> 'session.id' AS session_id,
       l.service_name,
       l.body_value #>> '{migration_details,migration_type}' AS migration_type,
       (l.body_value #>> '{migration_results,success}')::boolean AS success,
       (l.body_value #>> '{migration_results,records_migrated}')::double precision AS records_migrated,
       (l.body_value #>> '{migration_results,records_failed}')::double precision AS records_failed,
       (l.body_value #>> '{migration_results,execution_time_ms}')::double precision AS execution_time_ms,
       l.body_value -> 'training_labels' AS training_labels,
       l.body_value AS document,
       l.flow_id,
       l.attributes{{...}}
FROM otel.logs l
WHERE l.event_name = 'otelgres.operation' AND l.attributes ->> 'otelgres.log_type' = 'migration_operation'
$view$);

COMMENT ON VIEW compat.migration_operations IS
    'Migrations recorded by otel_setup.operations. Filter by timestamp.';
COMMENT ON COLUMN compat.migration_operations.id IS 'Stable id of the record.';
COMMENT ON COLUMN compat.migration_operations."timestamp" IS 'When it was recorded.';
COMMENT ON COLUMN compat.migration_operations.session_id IS 'Session of the operation.';
COMMENT ON COLUMN compat.migration_operations.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.migration_operations.migration_type IS 'What was migrated.';
COMMENT ON COLUMN compat.migration_operations.success IS 'Whether it succeeded.';
COMMENT ON COLUMN compat.migration_operations.records_migrated IS 'Number of records migrated.';
COMMENT ON COLUMN compat.migration_operations.records_failed IS 'Number of records that failed.';
COMMENT ON COLUMN compat.migration_operations.execution_time_ms IS 'Duration in milliseconds.';
COMMENT ON COLUMN compat.migration_operations.training_labels IS 'Training labels, as in the document.';
COMMENT ON COLUMN compat.migration_operations.document IS 'The complete document, as in the JSON-lines files.';
COMMENT ON COLUMN compat.migration_operations.flow_id IS 'The flow in which it happened; NULL if none.';
COMMENT ON COLUMN compat.migration_operations.attributes IS 'Attributes of the record, including its context.';
