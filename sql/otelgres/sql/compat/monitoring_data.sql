SELECT _otel.define_view('monitoring_data', '{}', $view$
SELECT hashtextextended(l.uid::text, 0) AS id,
       l.time AS "timestamp",
       l.attributes ->> 'session.id' AS session_id,
       l.service_name,
       l.body_value #>> '{monitoring_type}' AS monitoring_type,
       l.body_value -> 'monitoring_data' AS data,
       (l.body_value #>> '{training_labels,system_healthy}')::boolean AS healthy,
       l.body_value -> 'training_labels' AS training_labels,
       l.body_value AS document,
       l.flow_id,
       l.attributes{{...}}
FROM otel.logs l
WHERE l.event_name = 'otelgres.operation' AND l.attributes ->> 'otelgres.log_type' = 'monitoring_data'
$view$);

COMMENT ON VIEW compat.monitoring_data IS 'Monitoring data recorded by otel_setup.operations. Filter by timestamp.';
COMMENT ON COLUMN compat.monitoring_data.id IS 'Stable id of the record.';
COMMENT ON COLUMN compat.monitoring_data."timestamp" IS 'When it was recorded.';
COMMENT ON COLUMN compat.monitoring_data.session_id IS 'Session of the operation.';
COMMENT ON COLUMN compat.monitoring_data.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.monitoring_data.monitoring_type IS 'What was monitored.';
COMMENT ON COLUMN compat.monitoring_data.data IS 'The recorded data.';
COMMENT ON COLUMN compat.monitoring_data.healthy IS 'Whether the state is healthy.';
COMMENT ON COLUMN compat.monitoring_data.training_labels IS 'Training labels, as in the document.';
COMMENT ON COLUMN compat.monitoring_data.document IS 'The complete document, as in the JSON-lines files.';
COMMENT ON COLUMN compat.monitoring_data.flow_id IS 'The flow in which it happened; NULL if none.';
COMMENT ON COLUMN compat.monitoring_data.attributes IS 'Attributes of the record, including its context.';
