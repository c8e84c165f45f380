"""Records operations on a database as events with a JSON document and training labels.

Six kinds: database operations, synchronisations, migrations, errors, performance and monitoring. Each is a log record
(event ``otelgres.operation``) whose body is the document; relations of schema ``compat`` return it. Optionally the
documents are written to JSON-lines files as well. All calls are thread-safe, never raise and never wait. The fields
that identify a record are a setting.
"""

from otel_setup.operations.databases import instrument_databases
from otel_setup.operations.logger import (
    DatabaseLogger,
    configure_operations,
    log_database_event,
    log_database_operation,
    log_error,
    log_migration_operation,
    log_monitoring_data,
    log_performance_metrics,
    log_sync_operation,
)
from otel_setup.operations.monitor import monitor_performance
from otel_setup.operations.sessions import current_session_id, session

__all__ = [
    "DatabaseLogger",
    "configure_operations",
    "current_session_id",
    "instrument_databases",
    "log_database_event",
    "log_database_operation",
    "log_error",
    "log_migration_operation",
    "log_monitoring_data",
    "log_performance_metrics",
    "log_sync_operation",
    "monitor_performance",
    "session",
]
