SELECT _otel.define_view('sync_operations', '{}', $view$
SELECT hashtextextended(l.uid::text, 0) AS id,
       l.time AS "timestamp",
       l.attributes ->> 'session.id' AS session_id,
       l.service_name,
       l.body_value #>> '{sync_details,sync_type}' AS sync_type,
       (l.body_value #>> '{sync_details,batch_size}')::double precision AS batch_size,
       (l.body_value #>> '{sync_details,total_leads}')::double precision AS total_leads,
       (l.body_value #>> '{sync_details,retry_attempts}')::double precision AS retry_attempts,
       (l.body_value #>> '{sync_results,success}')::boolean AS success,
       (l.body_value #>> '{sync_results,leads_synced}')::double precision AS leads_synced,
       (l.body_value #>> '{sync_results,leads_failed}')::double precision AS leads_failed,
       (l.body_value #>> '{sync_results,conflicts_resolved}')::double precision AS conflicts_resolved,
       (l.body_value #>> '{sync_results,execution_time_ms}')::double precision AS execution_time_ms,
       l.body_value -> 'training_labels' AS training_labels,
       l.body_value AS document,
       l.flow_id,
       l.attributes{{...}}
FROM otel.logs l
WHERE l.event_name = 'otelgres.operation' AND l.attributes ->> 'otelgres.log_type' = 'sync_operation'
$view$);

COMMENT ON VIEW compat.sync_operations IS
    'Synchronisations recorded by otel_setup.operations. Filter by timestamp.';
COMMENT ON COLUMN compat.sync_operations.id IS 'Stable id of the record.';
COMMENT ON COLUMN compat.sync_operations."timestamp" IS 'When it was recorded.';
COMMENT ON COLUMN compat.sync_operations.session_id IS 'Session of the operation.';
COMMENT ON COLUMN compat.sync_operations.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.sync_operations.sync_type IS 'What was synchronised, and in which direction.';
COMMENT ON COLUMN compat.sync_operations.batch_size IS 'Batch size in records.';
COMMENT ON COLUMN compat.sync_operations.total_leads IS 'Number of records to synchronise.';
COMMENT ON COLUMN compat.sync_operations.retry_attempts IS 'Number of retries.';
COMMENT ON COLUMN compat.sync_operations.success IS 'Whether it succeeded.';
COMMENT ON COLUMN compat.sync_operations.leads_synced IS 'Number of records synchronised.';
COMMENT ON COLUMN compat.sync_operations.leads_failed IS 'Number of records that failed.';
COMMENT ON COLUMN compat.sync_operations.conflicts_resolved IS 'Number of conflicts resolved.';
COMMENT ON COLUMN compat.sync_operations.execution_time_ms IS 'Duration in milliseconds.';
COMMENT ON COLUMN compat.sync_operations.training_labels IS 'Training labels, as in the document.';
COMMENT ON COLUMN compat.sync_operations.document IS 'The complete document, as in the JSON-lines files.';
COMMENT ON COLUMN compat.sync_operations.flow_id IS 'The flow in which it happened; NULL if none.';
COMMENT ON COLUMN compat.sync_operations.attributes IS 'Attributes of the record, including its context.';
