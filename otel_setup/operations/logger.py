"""Records operations: module-level functions, and a logger class with its own settings."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from otel_setup.api.events import record_event
from otel_setup.operations import documents
from otel_setup.operations.documents import Document
from otel_setup.operations.files import OperationFiles
from otel_setup.operations.labels import Tiers
from otel_setup.operations.never_raises import never_raises
from otel_setup.operations.sessions import current_session_id

EVENT: Final = "otelgres.operation"
DIRECTORY_VARIABLE: Final = "OTELGRES_TELEMETRY_OPERATIONS_DIRECTORY"
_IDENTIFY: Final = ("lead_id", "name", "company", "email")
_NOTHING: Final[Mapping[str, Any]] = {}


class DatabaseLogger:
    """Records operations. The fields ``identify`` of a record are in section ``identifier`` of its document.

    ``directory`` (default: variable OTELGRES_TELEMETRY_OPERATIONS_DIRECTORY) adds JSON-lines files. Thread-safe.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        tiers: Tiers | None = None,
        identify: Sequence[str] = _IDENTIFY,
        identifier: str = "lead_identifier",
    ) -> None:
        self._tiers = tiers or Tiers()
        self._identify = tuple(identify)
        self._identifier = identifier
        folder = directory or os.environ.get(DIRECTORY_VARIABLE)
        self._files = OperationFiles(Path(folder)) if folder else None

    @property
    def dropped(self) -> int:
        """The number of documents that were not written to their files."""
        return self._files.dropped if self._files else 0

    @never_raises
    def log_database_event(
        self,
        event_type: str,
        data: Mapping[str, Any] | None = None,
        operation_result: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Records one of the six kinds by name; an unknown name is recorded as a database operation of that type."""
        given, result, more = data or _NOTHING, operation_result or _NOTHING, context or _NOTHING
        match event_type:
            case documents.SYNC:
                self.log_sync_operation(given, result, more)
            case documents.MIGRATION:
                self.log_migration_operation(given, result, more)
            case documents.ERROR:
                raised = result.get("error") or more.get("error") or given.get("error") or "unknown"
                self.log_error(raised, {**given, **more})
            case documents.PERFORMANCE:
                self.log_performance_metrics(str(more.get("operation_name", "unknown")), {**given, **result}, more)
            case documents.MONITORING:
                self.log_monitoring_data(str(more.get("monitoring_type", "unknown")), {**given, **result}, more)
            case documents.DATABASE:
                self.log_database_operation(given, result, more)
            case _:
                self.log_database_operation(given, result, {"operation_type": event_type, **more})

    @never_raises
    def log_database_operation(
        self, data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Records a create, read, update or delete of the record ``data``."""
        document = documents.database_operation(data, result, context, self._identify, self._identifier, self._tiers)
        self._record(documents.DATABASE, document, context, success=document["operation_details"]["success"])

    @never_raises
    def log_sync_operation(
        self, data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Records a synchronisation: ``data`` is the request, ``result`` the outcome."""
        document = documents.sync_operation(data, result, context, self._tiers)
        self._record(documents.SYNC, document, context, success=document["sync_results"]["success"])

    @never_raises
    def log_migration_operation(
        self, data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Records a migration: ``data`` has source and target, ``result`` the numbers."""
        document = documents.migration_operation(data, result, context, self._tiers)
        self._record(documents.MIGRATION, document, context, success=document["migration_results"]["success"])

    @never_raises
    def log_error(self, error: BaseException | str, context: Mapping[str, Any] = _NOTHING) -> None:
        """Records an error with its stack trace."""
        self._record(documents.ERROR, documents.error(error, context), context, success=False)

    @never_raises
    def log_performance_metrics(
        self, operation_name: str, metrics: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Records the cost of an operation: execution_time_ms, cpu_time_ms, memory_usage_mb and others."""
        document = documents.performance_metrics(operation_name, metrics, context, self._tiers)
        self._record(documents.PERFORMANCE, document, context, success=bool(context.get("success", True)))

    @never_raises
    def log_monitoring_data(
        self, monitoring_type: str, data: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Records the state of a system; healthy if its ``status`` is ok, healthy, up or missing."""
        document = documents.monitoring_data(monitoring_type, data, context)
        self._record(documents.MONITORING, document, context, success=document["training_labels"]["system_healthy"])

    def flush(self, seconds: float = 5.0) -> bool:
        """Waits up to ``seconds`` until all documents are in their files; returns whether they are."""
        return self._files.flush(seconds) if self._files else True

    def _record(self, kind: str, document: Document, context: Mapping[str, Any], *, success: bool) -> None:
        session = current_session_id()
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        whole: Document = {"log_type": kind, "session_id": session, "timestamp": now} | document
        given = context.get("training_labels")
        if isinstance(given, Mapping):
            # The caller's labels override the derived ones.
            whole["training_labels"] = {**whole["training_labels"], **given}
        record_event(
            EVENT,
            {"otelgres.log_type": kind, "session.id": session, "otelgres.success": success},
            body=whole,
            severity="INFO" if success else "ERROR",
        )
        if self._files is not None:
            self._files.put(kind, whole)


_default = DatabaseLogger()


def configure_operations(
    directory: str | os.PathLike[str] | None = None,
    *,
    tiers: Tiers | None = None,
    identify: Sequence[str] = _IDENTIFY,
    identifier: str = "lead_identifier",
) -> DatabaseLogger:
    """Replaces the logger behind the functions of this module; arguments as for DatabaseLogger."""
    global _default
    _default = DatabaseLogger(directory, tiers=tiers, identify=identify, identifier=identifier)
    return _default


def default_logger() -> DatabaseLogger:
    """The logger behind the functions of this module."""
    return _default


def log_database_event(
    event_type: str,
    data: Mapping[str, Any] | None = None,
    operation_result: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
) -> None:
    """See DatabaseLogger.log_database_event."""
    _default.log_database_event(event_type, data, operation_result, context)


def log_database_operation(
    data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
) -> None:
    """See DatabaseLogger.log_database_operation."""
    _default.log_database_operation(data, result, context)


def log_sync_operation(
    data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
) -> None:
    """See DatabaseLogger.log_sync_operation."""
    _default.log_sync_operation(data, result, context)


def log_migration_operation(
    data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
) -> None:
    """See DatabaseLogger.log_migration_operation."""
    _default.log_migration_operation(data, result, context)


def log_error(error: BaseException | str, context: Mapping[str, Any] = _NOTHING) -> None:
    """See DatabaseLogger.log_error."""
    _default.log_error(error, context)


def log_performance_metrics(
    operation_name: str, metrics: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
) -> None:
    """See DatabaseLogger.log_performance_metrics."""
    _default.log_performance_metrics(operation_name, metrics, context)


def log_monitoring_data(monitoring_type: str, data: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING) -> None:
    """See DatabaseLogger.log_monitoring_data."""
    _default.log_monitoring_data(monitoring_type, data, context)
