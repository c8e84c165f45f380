SELECT _otel.define_view('error_logs', '{}', $view$
SELECT hashtextextended(l.uid::text, 0) AS id,
       l.time AS "timestamp",
       l.attributes ->> 'session.id' AS session_id,
       l.service_name,
       l.body_value #>> '{error_details,error_type}' AS error_type,
       l.body_value #>> '{error_details,error_message}' AS error_message,
       l.body_value #>> '{error_details,stack_trace}' AS stack_trace,
       l.body_value -> 'context' AS error_context,
       l.body_value -> 'training_labels' AS training_labels,
       l.body_value AS document,
       l.flow_id,
       l.attributes{{...}}
FROM otel.logs l
WHERE l.event_name = 'otelgres.operation' AND l.attributes ->> 'otelgres.log_type' = 'error'
$view$);

COMMENT ON VIEW compat.error_logs IS
    'Errors recorded by otel_setup.operations. Filter by timestamp.';
COMMENT ON COLUMN compat.error_logs.id IS 'Stable id of the record.';
COMMENT ON COLUMN compat.error_logs."timestamp" IS 'When it was recorded.';
COMMENT ON COLUMN compat.error_logs.session_id IS 'Session of the operation.';
COMMENT ON COLUMN compat.error_logs.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.error_logs.error_type IS 'Class of the exception.';
COMMENT ON COLUMN compat.error_logs.error_message IS 'Message of the exception.';
COMMENT ON COLUMN compat.error_logs.stack_trace IS 'Stack trace; NULL if the error was recorded as text.';
COMMENT ON COLUMN compat.error_logs.error_context IS 'Context given by the caller.';
COMMENT ON COLUMN compat.error_logs.training_labels IS 'Training labels, as in the document.';
COMMENT ON COLUMN compat.error_logs.document IS 'The complete document, as in the JSON-lines files.';
COMMENT ON COLUMN compat.error_logs.flow_id IS 'The flow in which it happened; NULL if none.';
COMMENT ON COLUMN compat.error_logs.attributes IS 'Attributes of the record, including its context.';
