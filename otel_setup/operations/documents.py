"""Builds the documents from the arguments of a call. Unknown fields stay in the section in which they were given."""

import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_setup.operations import labels
from otel_setup.operations.labels import Tiers

Document = dict[str, Any]
DATABASE: Final = "database_operation"
SYNC: Final = "sync_operation"
MIGRATION: Final = "migration_operation"
ERROR: Final = "error"
PERFORMANCE: Final = "performance_metrics"
MONITORING: Final = "monitoring_data"
KINDS: Final = (DATABASE, SYNC, MIGRATION, ERROR, PERFORMANCE, MONITORING)

_STACK_CHARACTERS: Final = 20_000


def database_operation(
    data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any], identify: Sequence[str],
    identifier: str, tiers: Tiers,
) -> Document:  # fmt: skip
    """A create, read, update or delete."""
    metrics = dict(_mapping(context.get("performance_metrics")))
    time = _first(result, metrics, key="execution_time_ms")
    success = _success(result)
    details = {
        "operation_type": context.get("operation_type") or result.get("operation_type") or "unknown",
        "success": success,
        "records_affected": result.get("records_affected", 1 if success else 0),
        "execution_time_ms": time,
        "duplicate_detected": bool(result.get("duplicate_detected", False)),
    } | _rest(
        result,
        "training_labels",
        "execution_time_ms",
        "operation_type",
        "success",
        "records_affected",
        "duplicate_detected",
    )
    return {
        "operation_details": details,
        identifier: {field: data[field] for field in identify if field in data},
        "performance_metrics": {"execution_time_ms": time} | metrics,
        "training_labels": {
            "operation_successful": success,
            "performance_tier": tiers.of(_number(time)),
            "data_quality": labels.data_quality(data, [field for field in identify if not field.endswith("_id")]),
            "complexity_level": labels.complexity(
                _number(metrics.get("database_queries")), _number(details["records_affected"])
            ),
        },
    } | _context(context, "operation_type", "performance_metrics", "training_labels")


def sync_operation(
    data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any], tiers: Tiers
) -> Document:
    """A synchronisation of many records with another system."""
    details = {"sync_type": "unknown", "batch_size": None, "total_leads": None, "retry_attempts": 0} | dict(data)
    synced, failed = _number(result.get("leads_synced")) or 0.0, _number(result.get("leads_failed")) or 0.0
    success = _success(result)
    results = {"success": success, "leads_synced": 0, "leads_failed": 0, "conflicts_resolved": 0} | _rest(
        result, "training_labels"
    )
    time = _number(result.get("execution_time_ms"))
    return {
        "sync_details": details,
        "sync_results": results,
        "training_labels": {
            "sync_successful": success,
            "sync_efficiency": labels.sync_efficiency(synced, failed),
            "error_recovery": bool(details["retry_attempts"]) and success,
            "batch_optimization": labels.batch_optimization(
                _number(details["batch_size"]), _number(details["total_leads"])
            ),
            "performance_tier": tiers.of(time),
        },
    } | _context(context, "training_labels")


def migration_operation(
    data: Mapping[str, Any], result: Mapping[str, Any], context: Mapping[str, Any], tiers: Tiers
) -> Document:
    """A migration of records from one store or schema to another."""
    success = _success(result)
    done, failed = _number(result.get("records_migrated")) or 0.0, _number(result.get("records_failed")) or 0.0
    return {
        "migration_details": {"migration_type": "unknown", "source": None, "target": None} | dict(data),
        "migration_results": {"success": success, "records_migrated": 0, "records_failed": 0}
        | _rest(result, "training_labels"),
        "training_labels": {
            "migration_successful": success,
            "migration_efficiency": labels.sync_efficiency(done, failed),
            "performance_tier": tiers.of(_number(result.get("execution_time_ms"))),
        },
    } | _context(context, "training_labels")


def error(raised: BaseException | str, context: Mapping[str, Any]) -> Document:
    """An error with its stack trace (the last 20,000 characters)."""
    if isinstance(raised, BaseException):
        stack = "".join(traceback.format_exception(raised))[-_STACK_CHARACTERS:]
        details: Document = {
            "error_type": type(raised).__qualname__,
            "error_message": str(raised),
            "stack_trace": stack,
        }
    else:
        details = {"error_type": "Error", "error_message": str(raised), "stack_trace": None}
    return {
        "error_details": details,
        "context": _rest(context, "training_labels"),
        "training_labels": {
            "error_type": details["error_type"],
            "recoverable": bool(context.get("recoverable", False)),
        },
    }


def performance_metrics(name: str, metrics: Mapping[str, Any], context: Mapping[str, Any], tiers: Tiers) -> Document:
    """The cost of an operation."""
    success = bool(context.get("success", True))
    return {
        "operation_name": name,
        "performance_metrics": dict(metrics),
        "training_labels": {
            "operation_successful": success,
            "performance_tier": tiers.of(_number(metrics.get("execution_time_ms"))),
        },
    } | _context(context, "training_labels")


def monitoring_data(kind: str, data: Mapping[str, Any], context: Mapping[str, Any]) -> Document:
    """The state of a system."""
    status = str(data.get("status", "unknown"))
    return {
        "monitoring_type": kind,
        "monitoring_data": dict(data),
        "training_labels": {"system_healthy": status in ("ok", "healthy", "up", "unknown")},
    } | _context(context, "training_labels")


def _success(result: Mapping[str, Any]) -> bool:
    return bool(result.get("success", "error" not in result))


def _first(*mappings: Mapping[str, Any], key: str) -> Any:
    return next((mapping[key] for mapping in mappings if mapping.get(key) is not None), None)


def _rest(given: Mapping[str, Any], *known: str) -> Document:
    return {key: value for key, value in given.items() if key not in known}


def _context(context: Mapping[str, Any], *known: str) -> Document:
    rest = _rest(context, *known)
    return {"context": rest} if rest else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
