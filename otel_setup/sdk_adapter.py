"""The only module that uses names of OpenTelemetry which may change between releases: private names, the packages
``_logs``, and attributes of objects.

A class or function is imported on first use, so that ``import otel_setup`` does not load the SDK. If a release lacks a
name, it is replaced where possible, with one warning of the logger ``otel_setup``; otherwise the import fails with the
name. ``sdk.check`` lists the names that the installed release lacks.
"""

import collections
import copy
import inspect
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.version import __version__ as _release

if TYPE_CHECKING:
    from opentelemetry._logs import Logger as Logger
    from opentelemetry._logs import LogRecord as LogRecord
    from opentelemetry._logs import SeverityNumber as SeverityNumber
    from opentelemetry._logs import get_logger as get_logger
    from opentelemetry._logs import set_logger_provider as set_logger_provider
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.common._internal.metrics_encoder import (
        OTLPMetricExporterMixin as OTLPMetricExporterMixin,
    )
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as encode_logs
    from opentelemetry.instrumentation.logging.handler import LoggingHandler as LoggingHandler
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk._logs import LoggerProvider as LoggerProvider
    from opentelemetry.sdk._logs import LogRecordProcessor as LogRecordProcessor
    from opentelemetry.sdk._logs import ReadableLogRecord as ReadableLogRecord
    from opentelemetry.sdk._logs import ReadWriteLogRecord as ReadWriteLogRecord
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor as BatchLogRecordProcessor
    from opentelemetry.sdk._logs.export import LogRecordExporter as LogRecordExporter
    from opentelemetry.sdk._logs.export import LogRecordExportResult as LogRecordExportResult
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link, Span, Tracer

    SUPPRESS_INSTRUMENTATION: str
    keep_through_reconfiguration: Callable[[logging.Handler], None]

_logger = logging.getLogger("otel_setup")
# Loggers of the SDK, named after their modules.
ENCODER_LOGGER: Final = "opentelemetry.exporter.otlp.proto.common._internal"
PROCESSOR_LOGGER: Final = "opentelemetry.sdk._shared_internal"
# Bit 1 of the W3C trace flags; without a name in releases before 1.42.
RANDOM_TRACE_ID: Final = 0x02

_LOGS_API: Final = "opentelemetry._logs"
_LOGS_SDK: Final = "opentelemetry.sdk._logs"
_HANDLER: Final = "opentelemetry.instrumentation.logging.handler"
_ENCODERS: Final = "opentelemetry.exporter.otlp.proto.common"
# Name in this module -> module and name in OpenTelemetry.
PLACES: Final[dict[str, tuple[str, str]]] = {
    "Logger": (_LOGS_API, "Logger"),
    "LogRecord": (_LOGS_API, "LogRecord"),
    "SeverityNumber": (_LOGS_API, "SeverityNumber"),
    "get_logger": (_LOGS_API, "get_logger"),
    "set_logger_provider": (_LOGS_API, "set_logger_provider"),
    "LoggerProvider": (_LOGS_SDK, "LoggerProvider"),
    "LogRecordProcessor": (_LOGS_SDK, "LogRecordProcessor"),
    "ReadableLogRecord": (_LOGS_SDK, "ReadableLogRecord"),
    "ReadWriteLogRecord": (_LOGS_SDK, "ReadWriteLogRecord"),
    "BatchLogRecordProcessor": (f"{_LOGS_SDK}.export", "BatchLogRecordProcessor"),
    "LogRecordExporter": (f"{_LOGS_SDK}.export", "LogRecordExporter"),
    "LogRecordExportResult": (f"{_LOGS_SDK}.export", "LogRecordExportResult"),
    "LoggingHandler": (_HANDLER, "LoggingHandler"),
    "keep_through_reconfiguration": (_HANDLER, "_overwrite_logging_config_fns"),
    "encode_logs": (f"{_ENCODERS}._log_encoder", "encode_logs"),
    "OTLPMetricExporterMixin": (f"{_ENCODERS}._internal.metrics_encoder", "OTLPMetricExporterMixin"),
    "SUPPRESS_INSTRUMENTATION": ("opentelemetry.context", "_SUPPRESS_INSTRUMENTATION_KEY"),
}
# Before 1.45 an attribute of a span is by default a plain value or a sequence of such.
PLAIN_ATTRIBUTES: Final = "extended_attributes" in inspect.signature(BoundedAttributes).parameters
_PLAIN: Final = frozenset({str, bool, int, float})
_warned: set[str] = set()


class _DefaultTemporality:
    """Replaces the mixin that reads ``OTEL_EXPORTER_OTLP_METRICS_*``: all metrics are cumulative."""

    def _common_configuration(self) -> None:
        from opentelemetry.sdk.metrics.export import MetricExporter

        MetricExporter.__init__(self)  # type: ignore[arg-type]


# Substitutes for missing names, and the consequence.
_SUBSTITUTES: Final[Mapping[str, tuple[Any, str]]] = {
    "keep_through_reconfiguration": (
        lambda _: None,
        "log records are not exported after logging.basicConfig(force=True) or dictConfig()",
    ),
    "OTLPMetricExporterMixin": (
        _DefaultTemporality,
        "metrics are cumulative, and OTEL_EXPORTER_OTLP_METRICS_* are ignored",
    ),
    "SUPPRESS_INSTRUMENTATION": ("suppress_instrumentation", "exports may be recorded as work of the application"),
}


def __getattr__(name: str) -> Any:
    """The object ``name``, or its substitute. Raises ImportError if OpenTelemetry lacks it and there is no substitute.

    Raises AttributeError for an unknown name.
    """
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = PLACES[name]
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        if name not in _SUBSTITUTES:
            raise ImportError(f"OpenTelemetry {_release} has no {module}.{attribute}") from error
        found, consequence = _SUBSTITUTES[name]
        _warn(f"{module}.{attribute}", consequence)
    globals()[name] = found
    return found


def accepted(callee: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The ``arguments`` that ``callee`` has as parameters: releases before 1.41 have fewer."""
    known = inspect.signature(callee).parameters
    return {name: value for name, value in arguments.items() if name in known}


def counting_own_work(meters: "MeterProvider") -> "MeterProvider":
    """The meter provider for the SDK's internal metrics; none before 1.42, which records them by default."""
    from opentelemetry.metrics import NoOpMeterProvider

    if hasattr(import_module("opentelemetry.sdk.environment_variables"), "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"):
        return meters
    return NoOpMeterProvider()


def start_span(
    tracer: "Tracer",
    name: str,
    context: "Context | None" = None,
    *,
    attributes: Mapping[str, Any],
    links: "Sequence[Link] | None" = None,
    start_time: int | None = None,
) -> "Span":
    """A new span. Attributes may be mappings and lists, which ``start_span`` rejects in releases before 1.45."""
    if not PLAIN_ATTRIBUTES:
        return tracer.start_span(name, context, attributes=attributes, links=links, start_time=start_time)
    plain = {key: value for key, value in attributes.items() if type(value) in _PLAIN}
    span = tracer.start_span(name, context, attributes=plain, links=links, start_time=start_time)
    if len(plain) < len(attributes):
        add_attributes(span, {key: value for key, value in attributes.items() if key not in plain})
    return span


def add_attributes(span: "Span", attributes: Mapping[str, Any]) -> None:
    """Adds attributes, which may be mappings and lists; None values are left out before 1.45."""
    if not PLAIN_ATTRIBUTES:
        span.set_attributes(attributes)
        return
    kept: Any = getattr(span, "_attributes", None)
    for key, value in attributes.items():
        if type(value) in _PLAIN or not hasattr(kept, "_dict"):
            span.set_attribute(key, value)
        elif value is not None and span.is_recording():
            _put(kept, key, _without_none(value))


def log_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a log record. A list of different types, which releases before 1.45 drop, is JSON text there."""
    return {key: _uniform(value) for key, value in attributes.items()} if PLAIN_ATTRIBUTES else attributes


def bounded_attributes(attributes: Mapping[str, Any], dropped: int) -> BoundedAttributes:
    """Attributes for an exporter, which may be mappings and lists; ``dropped`` is the number dropped so far."""
    made: Any = BoundedAttributes(attributes=None if PLAIN_ATTRIBUTES else attributes)
    if PLAIN_ATTRIBUTES:
        for key, value in attributes.items():
            _put(made, key, value)
    made.dropped = dropped
    return made  # type: ignore[no-any-return]


def _put(kept: Any, key: str, value: Any) -> None:
    """Adds an attribute without a type check, or drops it if the limit is reached."""
    with kept._lock:
        if kept.maxlen is not None and key not in kept._dict and len(kept._dict) >= kept.maxlen:
            kept.dropped += 1
        else:
            kept._dict[key] = value


def _uniform(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _uniform(item) for key, item in value.items()}
    if not isinstance(value, list | tuple):
        return value
    items = [_uniform(item) for item in value]
    return items if len({type(item) for item in items} - {type(None)}) <= 1 else json.dumps(value, default=str)


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value if item is not None]
    return value


class _CountingQueue(collections.deque[Any]):
    """A batch processor's queue that calls ``overflowed`` when a new item replaces the oldest."""

    overflowed: Callable[[], None]

    def appendleft(self, item: Any) -> None:
        """Adds the newest item."""
        if len(self) == self.maxlen:
            self.overflowed()
        super().appendleft(item)


def watch_queue(processor: Any, overflowed: Callable[[], None]) -> Callable[[], int]:
    """Calls ``overflowed`` for each item that the new batch ``processor`` drops; returns a function for its length."""
    batches = getattr(processor, "_batch_processor", None)
    queue = getattr(batches, "_queue", None)
    if not isinstance(queue, collections.deque):
        _warn(f"{type(processor).__name__}._batch_processor._queue", "items dropped by a full queue are not counted")
        return lambda: 0
    counting = _CountingQueue(queue, queue.maxlen)
    counting.overflowed = overflowed
    watched: Any = batches
    watched._queue = counting
    return lambda: len(watched._queue)


def update_resource(provider: Any, attributes: Mapping[str, Any]) -> None:
    """Merges ``attributes`` into the resource of a provider and of its tracers, meters and loggers."""
    from opentelemetry.sdk.resources import Resource

    changes = Resource(dict(attributes))
    if hasattr(provider, "_update_resource"):
        provider._update_resource(changes)
        return
    # Before 1.44 all objects of a provider share one resource object, so that object is changed.
    resource = getattr(provider, "resource", None) or getattr(getattr(provider, "_sdk_config", None), "resource", None)
    if resource is None or not hasattr(resource, "replace"):
        _warn(f"{type(provider).__name__}._update_resource", "changes of the resource are not exported")
        return
    resource.replace(resource.merge(changes))


def empty_metrics(provider: Any) -> None:
    """Resets all metrics in a forked child: the parent's totals would be counted again under the child's id.

    The locks are replaced, because a thread of the parent may have held them at the fork.
    """
    try:
        _empty(provider._measurement_consumer)
    except (ImportError, AttributeError, TypeError):
        _warn("MeterProvider._measurement_consumer", "a forked child repeats its parent's totals")


def _empty(consumer: Any) -> None:
    from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage

    consumer._lock = threading.Lock()
    consumer._reader_storages = {
        reader: MetricReaderStorage(
            consumer._sdk_config,
            reader._instrument_class_temporality,
            reader._instrument_class_aggregation,
            **accepted(
                MetricReaderStorage,
                instrument_class_cardinality_limit=getattr(reader, "_instrument_class_cardinality_limit", None),
            ),
        )
        for reader in consumer._reader_storages
    }
    for reader in consumer._reader_storages:
        reader._export_lock = threading.Lock()


def make_reentrant(span: Any) -> None:
    """Gives a new ``span`` re-entrant locks.

    A signal handler may set attributes while it interrupts the same operation: the SDK's locks would deadlock.
    """
    for locked in (span, getattr(span, "_attributes", None)):
        if hasattr(locked, "_lock"):
            changed: Any = locked
            changed._lock = threading.RLock()


def attributes_of(item: Any) -> Any:
    """The stored attributes of a span, event or link, with the count of dropped ones."""
    return item._attributes if hasattr(item, "_attributes") else item.attributes


def set_attributes(item: Any, attributes: Any) -> None:
    """Replaces the attributes of an event or link. Raises AttributeError if that is not possible."""
    _change(item, _attributes=attributes)


def rename_event(event: Any, name: str) -> None:
    """Replaces the name of a span's event. Raises AttributeError if that is not possible."""
    _change(event, _name=name)


def changed_span(span: "ReadableSpan", *, name: str, attributes: Any, scope: Any, status: Any) -> "ReadableSpan":
    """A copy of an ended ``span`` with these changes. Raises AttributeError if that is not possible."""
    changed = copy.copy(span)
    _change(changed, _name=name, _attributes=attributes, _instrumentation_scope=scope, _status=status)
    return changed


def _change(thing: Any, **values: Any) -> None:
    for name, value in values.items():
        # Setting a new attribute would have no effect: secrets would be exported.
        if not hasattr(thing, name):
            _warn(f"{type(thing).__name__}.{name}", "spans with secrets or values unsupported by OTLP are dropped")
            raise AttributeError(name)
        setattr(thing, name, value)


def _warn(name: str, consequence: str) -> None:
    if name not in _warned:
        _warned.add(name)
        _logger.warning("OpenTelemetry %s has no %s: %s", _release, name, consequence)
