"""One run: its identity, its results, and its outcome.

The run's span is the root of a flow. Results are attributes of that span, which is exported when it ends, and are also
recorded as events immediately, so that they survive a crash. Only the application's own exceptions are raised.
"""

import logging
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple

from opentelemetry import context

from otel_setup.api.context_attributes import ContextAttributes, context_attributes
from otel_setup.api.context_managers import Decorator
from otel_setup.api.detach import detach
from otel_setup.api.events import record_event
from otel_setup.api.exceptions import exception_attributes
from otel_setup.api.flows import Handle, SpanBlock, checkpoint
from otel_setup.api.ids import parse_flow_id
from otel_setup.api.suppression import is_suppressed, suppress_telemetry
from otel_setup.api.values import text
from otel_setup.runs import current
from otel_setup.runs.counting import count_records
from otel_setup.runs.defaults import defaults
from otel_setup.runs.metrics import LogMetricsCollector
from otel_setup.runs.scope import RunPhase, execution_context

EVENT: Final = "otelgres.run"
BEGIN: Final = "RUN_STARTED"
# Counts change with every item processed; events report them at most this often.
_EVENT_SECONDS: Final = 1.0
_IDS: Final = uuid.UUID("8a3bb4b5-92f4-5b3a-9a55-2f3a2b8b6f0e")

_errors = logging.getLogger("runs")


class Execution:
    """The object that ``with run(...)`` returns. Usable from any thread while the run is open."""

    def __init__(self, name: str, handle: Handle, *, writes: bool, demo_mode: bool) -> None:
        self.name = name
        self.execution_id = handle.flow_id
        self.writes = writes
        self.demo_mode = demo_mode
        self.metrics = LogMetricsCollector()
        self._handle = handle
        # Updated and copied by single operations, without a lock that a signal handler or a fork could find held.
        self._results: dict[str, Any] = {}
        self._event_at = 0.0

    def phase(self, name: str, **fields: Any) -> RunPhase:
        """A phase: a span, a duration in the summary, and attribute ``execution_phase`` on every record inside."""
        return RunPhase(name, fields, self.metrics)

    def terminal(self, terminal_id: str, region_code: str | None = None, **fields: Any) -> ContextAttributes:
        """Work on one terminal: adds ``terminal_id`` (and ``region_code``) to every record inside."""
        return execution_context(terminal_id=terminal_id, region_code=region_code, **fields)

    def set(self, **results: Any) -> None:
        """Records results: ``success``, ``failover_activated``, ``failure_type``, ``connection_status`` and others.

        ``success=False`` marks the run as failed, also without an exception. Never raises.
        """
        self._set(results)
        if results.get("success") is False:
            self._handle.fail(text(results.get("failure_type") or self._results.get("failure_type") or "failed"))
        self._record(results)

    def fail(self, failure_type: str, **results: Any) -> None:
        """Marks the run as failed for the reason ``failure_type``."""
        self.set(success=False, failure_type=failure_type, **results)

    def failover(self, **results: Any) -> None:
        """Records that the run had to use a fallback."""
        self.set(failover_activated=True, **results)

    def processed(self, what: str, number: int = 1) -> None:
        """Adds ``number`` to the processed ``what``: column ``<what>_processed``, and a rate in the summary."""
        result = {f"{what}_processed": self.metrics.count_processed(what, number)}
        self._set(result)
        now = time.monotonic()
        if now - self._event_at >= _EVENT_SECONDS:
            self._event_at = now
            self._record(result)

    def error(self, error: BaseException, message: str | None = None, **details: Any) -> None:
        """Logs an exception that the run has handled, with its stack trace and ``details``."""
        _errors.error(
            "%s", message or text(error), exc_info=error, extra={"error_context": details} if details else None,
            stacklevel=2,
        )  # fmt: skip

    def performance_summary(self) -> dict[str, Any]:
        """The figures so far, as LogMetricsCollector.summary gives them."""
        return self.metrics.summary()

    @property
    def results(self) -> dict[str, Any]:
        """The results so far."""
        return dict(self._results)

    def _set(self, results: Mapping[str, Any]) -> None:
        self._results.update(results)
        self._handle.set(**results)

    def _record(self, results: Mapping[str, Any]) -> None:
        record_event(EVENT, results, where=self._handle.context)

    def _begin(self, facts: Mapping[str, Any]) -> None:
        self._results.update(facts)
        # Exported before the span ends, so that a run that crashes early is visible.
        checkpoint(BEGIN)
        self._record(facts)

    def _end(self, error: BaseException | None) -> None:
        # sys.exit(0) is not a failure.
        failed = error is not None and not (isinstance(error, SystemExit) and error.code in {None, 0})
        results = self.results
        if failed and error is not None:
            kind = exception_attributes(error)["exception.type"]
            self._set({"success": False, "failure_type": results.get("failure_type") or kind})
        elif "success" not in results:
            self._set({"success": True})
        self._handle.set(performance_summary=self.metrics.summary())


class _Opened(NamedTuple):
    execution: Execution
    scope: SpanBlock
    carried: ContextAttributes
    token: Any
    outer: Any


class Run(Decorator[Execution]):
    """A run to open: ``with``, ``async with``, or a decorator that makes each call a run."""

    def __init__(
        self, name: str, execution_id: uuid.UUID | str | None, carried: Mapping[str, Any], facts: Mapping[str, Any],
        *, writes: bool | None, demo_mode: bool | None,
    ) -> None:  # fmt: skip
        self._name = name
        self._execution_id = execution_id
        self._carried = carried
        self._facts = facts
        self._writes = writes
        self._demo_mode = demo_mode
        self._open: list[_Opened] = []

    def __enter__(self) -> Execution:
        """Starts the run."""
        count_records()
        demo_mode = defaults.demo_mode if self._demo_mode is None else self._demo_mode
        wanted = defaults.writes if self._writes is None else self._writes
        # A run inside a suppressed run is suppressed too.
        writes = wanted and not demo_mode and not is_suppressed()
        outer = context.attach(context.get_current() if writes else suppress_telemetry())
        flow_id, key = _identity(self._execution_id)
        carried = context_attributes({**key, **self._carried})
        carried.__enter__()
        facts = {"demo_mode": demo_mode, **self._facts}
        scope = SpanBlock("flow", self._name, flow_id, facts)
        execution = Execution(self._name, scope.__enter__(), writes=writes, demo_mode=demo_mode)
        token = context.attach(current.with_execution(execution))
        self._open.append(_Opened(execution, scope, carried, token, outer))
        execution._begin(facts)
        return execution

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the run, as failed if there is an exception, which is not suppressed."""
        opened = self._open.pop()
        opened.execution._end(error)
        detach(opened.token)
        opened.scope.__exit__(kind, error, traceback)
        opened.carried.__exit__(kind, error, traceback)
        detach(opened.outer)

    def _copy(self) -> "Run":
        return Run(
            self._name, self._execution_id, self._carried, self._facts, writes=self._writes, demo_mode=self._demo_mode
        )


def run(
    name: str,
    execution_id: uuid.UUID | str | None = None,
    *,
    enable_db_logging: bool | None = None,
    demo_mode: bool | None = None,
    carry: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Run:
    """One execution of the job ``name``. ``execution_id`` is a UUID (the trace id), its text, or any other text.

    ``facts`` (total_atms=14) describe the run; ``carry`` is added to every log record and span inside. Without
    ``enable_db_logging``, or in ``demo_mode``, nothing inside is sent; its log lines still go to files and the console.
    The defaults of both are set by ``configure_run_logging``.
    """
    return Run(name, execution_id, dict(carry or {}), facts, writes=enable_db_logging, demo_mode=demo_mode)


def current_run() -> Execution | None:
    """The current run, or None outside any run."""
    execution = current.execution()
    return execution if isinstance(execution, Execution) else None


def _identity(given: uuid.UUID | str | None) -> tuple[uuid.UUID | None, dict[str, str]]:
    """The flow id for ``given``, and the attribute that keeps the text if it is not a UUID."""
    if given is None:
        return None, {}
    flow_id = parse_flow_id(given)
    if flow_id is not None:
        return flow_id, {}
    # Derived, so that the same text is the same run in every process.
    return uuid.uuid5(_IDS, text(given)), {"execution_id": text(given)}
