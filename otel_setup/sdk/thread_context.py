"""Propagates the context to threads with OpenTelemetry's instrumentation of ``threading``."""

from opentelemetry.instrumentation.threading import ThreadingInstrumentor


def carry_into_threads() -> None:
    """From now on threads, timers and executor tasks run in the context of their caller. A second call does nothing."""
    instrumentor = ThreadingInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()
