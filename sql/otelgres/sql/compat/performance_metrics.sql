SELECT _otel.define_view('performance_metrics', '{}', $view$
SELECT hashtextextended(l.uid::text, 0) AS id,
       l.time AS "timestamp",
       l.attributes ->> 'session.id' AS session_id,
       l.service_name,
       l.body_value #>> '{operation_name}' AS operation_name,
       (l.body_value #>> '{training_labels,operation_successful}')::boolean AS success,
       (l.body_value #>> '{performance_metrics,execution_time_ms}')::double precision AS execution_time_ms,
       (l.body_value #>> '{performance_metrics,cpu_time_ms}')::double precision AS cpu_time_ms,
       (l.body_value #>> '{performance_metrics,memory_usage_mb}')::double precision AS memory_usage_mb,
       l.body_value #>> '{training_labels,performance_tier}' AS performance_tier,
       l.body_value -> 'training_labels' AS training_labels,
       l.body_value AS document,
       l.flow_id,
       l.attributes{{...}}
FROM otel.logs l
WHERE l.event_name = 'otelgres.operation' AND l.attributes ->> 'otelgres.log_type' = 'performance_metrics'
$view$);

COMMENT ON VIEW compat.performance_metrics IS
    'Performance of operations, recorded by otel_setup.operations. Filter by timestamp.';
COMMENT ON COLUMN compat.performance_metrics.id IS 'Stable id of the record.';
COMMENT ON COLUMN compat.performance_metrics."timestamp" IS 'When it was recorded.';
COMMENT ON COLUMN compat.performance_metrics.session_id IS 'Session of the operation.';
COMMENT ON COLUMN compat.performance_metrics.service_name IS 'The service that recorded it.';
COMMENT ON COLUMN compat.performance_metrics.operation_name IS 'The measured operation.';
COMMENT ON COLUMN compat.performance_metrics.success IS 'Whether it succeeded.';
COMMENT ON COLUMN compat.performance_metrics.execution_time_ms IS 'Wall time in milliseconds.';
COMMENT ON COLUMN compat.performance_metrics.cpu_time_ms IS 'CPU time of its thread in milliseconds.';
COMMENT ON COLUMN compat.performance_metrics.memory_usage_mb IS 'Resident memory of the process afterwards, in MiB.';
COMMENT ON COLUMN compat.performance_metrics.performance_tier IS 'excellent, good, acceptable, slow or very_slow.';
COMMENT ON COLUMN compat.performance_metrics.training_labels IS 'Training labels, as in the document.';
COMMENT ON COLUMN compat.performance_metrics.document IS 'The complete document, as in the JSON-lines files.';
COMMENT ON COLUMN compat.performance_metrics.flow_id IS 'The flow in which it happened; NULL if none.';
COMMENT ON COLUMN compat.performance_metrics.attributes IS 'Attributes of the record, including its context.';
