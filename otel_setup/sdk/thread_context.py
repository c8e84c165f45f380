"""Work handed to another thread stays part of its flow: OpenTelemetry's own instrumentation of ``threading`` does it.

Refuses to know what runs in the threads.
"""

from opentelemetry.instrumentation.threading import ThreadingInstrumentor


def carry_into_threads() -> None:
    """From now on a thread, timer or executor task starts in the context of whoever started it. Twice is harmless."""
    instrumentor = ThreadingInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()
