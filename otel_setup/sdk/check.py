"""Lists the names used in ``sdk_adapter`` that the installed OpenTelemetry lacks. For tests and bug reports."""

import inspect
from importlib import import_module
from typing import Any

from otel_setup.sdk_adapter import ENCODER_LOGGER, PLACES, PROCESSOR_LOGGER, attributes_of


def missing_names() -> list[str]:
    """The missing names, sorted. Creates and shuts down one provider of each kind."""
    missing = [f"{module}.{name}" for module, name in PLACES.values() if not _importable(module, name)]
    missing += [module for module in (ENCODER_LOGGER, PROCESSOR_LOGGER) if not _importable(module)]
    for check in (_missing_of_spans, _missing_of_metrics):
        try:
            missing += check()
        except (ImportError, AttributeError) as error:
            missing.append(str(error))
    return sorted(missing)


def _missing_of_spans() -> list[str]:
    from opentelemetry.sdk.trace import Span, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    provider = TracerProvider(shutdown_on_exit=False)
    processor: Any = BatchSpanProcessor(ConsoleSpanExporter())
    try:
        span = provider.get_tracer("missing_names").start_span("span", attributes={"key": 1})
        assert isinstance(span, Span)
        span.add_link(span.get_span_context(), {"key": 1})
        span.add_event("event", {"key": 1})
        return [
            *_lacking(span, "_lock", "_attributes", "_name", "_instrumentation_scope", "_status"),
            *_lacking(attributes_of(span), "_lock"),
            *_lacking(span.events[0], "_name", "_attributes"),
            *_lacking(span.links[0], "_attributes"),
            *_lacking(processor, "_batch_processor"),
            *_lacking(processor._batch_processor, "_queue"),
        ]
    finally:
        processor.shutdown()
        provider.shutdown()


def _missing_of_metrics() -> list[str]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader

    reader = InMemoryMetricReader()
    provider: Any = MeterProvider([reader], shutdown_on_exit=False)
    try:
        consumer = provider._measurement_consumer
        return [
            *_lacking(provider, "_sdk_config"),
            *_lacking(provider._sdk_config, "resource"),
            *_lacking(consumer, "_lock", "_reader_storages", "_sdk_config"),
            *_lacking(reader, "_instrument_class_temporality", "_instrument_class_aggregation"),
            *([] if isinstance(consumer._reader_storages[reader], MetricReaderStorage) else ["MetricReaderStorage"]),
            *([] if "_export_lock" in inspect.getsource(PeriodicExportingMetricReader) else ["_export_lock"]),
        ]
    finally:
        provider.shutdown()


def _lacking(thing: Any, *names: str) -> list[str]:
    return [f"{type(thing).__name__}.{name}" for name in names if not hasattr(thing, name)]


def _importable(module: str, name: str | None = None) -> bool:
    try:
        found = import_module(module)
        return name is None or hasattr(found, name)
    except ImportError:
        return False
