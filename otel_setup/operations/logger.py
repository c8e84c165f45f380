"""The calls that record operations, as functions and as the methods of a logger with settings of its own.

Refuses to know what a document looks like and how a record travels.
"""

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
    """Records operations. ``identify`` are the fields of a record that stand under ``identifier`` in its document.

    ``directory`` makes JSON-lines files beside; without, OTELGRES_TELEMETRY_OPERATIONS_DIRECTORY does. For any thread.
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
        """Documents that did not get into their files."""
        return self._files.dropped if self._files else 0

    @never_raises
    def log_database_event(
        self,
        event_type: str,
        data: Mapping[str, Any] | None = None,
        operation_result: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Records one of the six kinds by its name; an unknown name is a database operation of that type."""
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
        """Records a synchronisation: ``data`` says what was to be done, ``result`` what was."""
        document = documents.sync_operation(data, result, context, self._tiers)
        self._record(documents.SYNC, document, context, success=document["sync_results"]["success"])

    @never_raises
    def log_migration_operation(
        self, data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Records a migration: ``data`` says from where to where, ``result`` how many."""
        document = documents.migration_operation(data, result, context, self._tiers)
        self._record(documents.MIGRATION, document, context, success=document["migration_results"]["success"])

    @never_raises
    def log_error(self, error: BaseException | str, context: Mapping[str, Any] = _NOTHING) -> None:
        """Records an error with its stack."""
        self._record(documents.ERROR, documents.error(error, context), context, success=False)

    @never_raises
    def log_performance_metrics(
        self, operation_name: str, metrics: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Records what an operation cost: execution_time_ms, cpu_time_ms, memory_usage_mb and whatever else."""
        document = documents.performance_metrics(operation_name, metrics, context, self._tiers)
        self._record(documents.PERFORMANCE, document, context, success=bool(context.get("success", True)))

    @never_raises
    def log_monitoring_data(
        self, monitoring_type: str, data: Mapping[str, Any], context: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Records how a system is doing; a ``status`` of ok, healthy or up is good."""
        document = documents.monitoring_data(monitoring_type, data, context)
        self._record(documents.MONITORING, document, context, success=document["training_labels"]["system_healthy"])

    def flush(self, seconds: float = 5.0) -> bool:
        """Waits until the files have what was recorded; whether they do."""
        return self._files.flush(seconds) if self._files else True

    def _record(self, kind: str, document: Document, context: Mapping[str, Any], *, success: bool) -> None:
        session = current_session_id()
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        whole: Document = {"log_type": kind, "session_id": session, "timestamp": now} | document
        given = context.get("training_labels")
        if isinstance(given, Mapping):
            # Whoever knows better says so.
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
    """Sets how the functions of this module record; the arguments are those of DatabaseLogger."""
    global _default
    _default = DatabaseLogger(directory, tiers=tiers, identify=identify, identifier=identifier)
    return _default


def default_logger() -> DatabaseLogger:
    """The logger behind the functions."""
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
