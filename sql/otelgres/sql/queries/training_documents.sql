SELECT d.id, d."timestamp", d.session_id, d.log_type, d.service_name, d.training_labels, d.document
FROM (
    SELECT id, "timestamp", session_id, 'database_operation' AS log_type, service_name, training_labels, document
    FROM compat.database_operations
    UNION ALL
    SELECT id, "timestamp", session_id, 'sync_operation', service_name, training_labels, document FROM compat.sync_operations
    UNION ALL
    SELECT id, "timestamp", session_id, 'migration_operation', service_name, training_labels, document
    FROM compat.migration_operations
    UNION ALL
    SELECT id, "timestamp", session_id, 'error', service_name, training_labels, document FROM compat.error_logs
    UNION ALL
    SELECT id, "timestamp", session_id, 'performance_metrics', service_name, training_labels, document
    FROM compat.performance_metrics
    UNION ALL
    SELECT id, "timestamp", session_id, 'monitoring_data', service_name, training_labels, document
    FROM compat.monitoring_data
) d
WHERE d."timestamp" >= %(since)s AND d."timestamp" < %(until)s
ORDER BY d."timestamp", d.id
