"""Parts of a run: phases, and blocks with attributes such as terminal and region.

They work as ``with``, ``async with`` and decorators.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from otel_setup.api.context_attributes import ContextAttributes, context_attributes
from otel_setup.api.context_managers import Decorator
from otel_setup.api.flows import Handle, SpanBlock
from otel_setup.api.flows import phase as phase_span
from otel_setup.runs import current
from otel_setup.runs.metrics import LogMetricsCollector

PHASE = "execution_phase"


class RunPhase(Decorator[Handle]):
    """A phase to open. Its duration is added to ``collector``, by default that of the current run."""

    __slots__ = ("_collector", "_fields", "_name", "_open")

    def __init__(self, name: str, fields: Mapping[str, Any], collector: LogMetricsCollector | None = None) -> None:
        self._name = name
        self._fields = fields
        self._collector = collector
        self._open: list[tuple[ContextAttributes, SpanBlock, float]] = []

    def __enter__(self) -> Handle:
        """Starts the phase: its span, and its name on every record inside."""
        carried = context_attributes({PHASE: self._name, **self._fields})
        carried.__enter__()
        scope = phase_span(self._name)
        handle = scope.__enter__()
        self._open.append((carried, scope, time.perf_counter()))
        return handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the phase and adds its duration to the run."""
        carried, scope, began = self._open.pop()
        seconds = time.perf_counter() - began
        scope.__exit__(kind, error, traceback)
        carried.__exit__(kind, error, traceback)
        execution = current.execution()
        collector = self._collector or (execution.metrics if execution is not None else None)
        if collector is not None:
            collector.add_phase(self._name, seconds, failed=error is not None)

    def _copy(self) -> "RunPhase":
        return RunPhase(self._name, self._fields, self._collector)


def run_phase(name: str, **fields: Any) -> RunPhase:
    """A phase of the current run; ``fields`` are added to every record inside."""
    return RunPhase(name, fields)


def execution_context(
    *, terminal_id: str | None = None, region_code: str | None = None, phase: str | None = None, **fields: Any
) -> ContextAttributes:
    """A block that adds its arguments to every log record and span inside. ``phase`` names one without timing it."""
    known = {"terminal_id": terminal_id, "region_code": region_code, PHASE: phase}
    return context_attributes({key: value for key, value in known.items() if value is not None} | fields)
