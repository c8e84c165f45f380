"""Where the SDK obeys ``withheld``: a sampler that drops such spans, a processor that passes on no such log record.

Refuses to know who withholds what, and why.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from otel_setup.api.suppression import is_suppressed
from otel_setup.sdk_adapter import LogRecordProcessor, ReadWriteLogRecord


class SuppressionSampler(Sampler):
    """Asks ``sampler`` for every span but those that are withheld: they are dropped, whatever it would say."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """What becomes of a span that is about to start."""
        if is_suppressed(parent_context):
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """The sampler's own."""
        return self._sampler.get_description()


class SuppressionLogProcessor(LogRecordProcessor):
    """Passes on to ``processor`` what is not withheld."""

    def __init__(self, processor: LogRecordProcessor) -> None:
        self._processor = processor

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Hands a record on, or does not."""
        if not is_suppressed(log_record.log_record.context):
            self._processor.on_emit(log_record)

    def shutdown(self) -> None:
        """Ends the processor."""
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flushes the processor."""
        flushed: Any = self._processor.force_flush(timeout_millis)
        return bool(flushed)
