"""Operations on a database told as events, in the shape of a JSON document with training labels.

Six kinds: database operations, synchronisations, migrations, errors, performance and monitoring. Each becomes a log
record (event ``otelgres.operation``) whose body is the document; relations of schema ``compat`` give it back, and
JSON-lines files may be written beside. Every call may be made from any thread, never raises and never waits. Refuses to
know what the records are about: which fields identify one is a setting.
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
