"""Flows, phases and checkpoints: units of work recorded as spans. The flow's id is the trace id.

Flows and phases work as ``with``, ``async with`` and decorator. Only the application's own exceptions are raised.
Everything goes through OpenTelemetry's API and works without an SDK.
"""

import enum
import logging
import os
import time
import uuid
from types import TracebackType
from typing import Any, cast

from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags

from otel_setup.api import providers
from otel_setup.api.context_managers import Decorator
from otel_setup.api.detach import detach
from otel_setup.api.exceptions import exception_attributes
from otel_setup.api.expectations import repeat_declaration
from otel_setup.api.ids import absent_span_id, is_random, next_flow_id, parse_flow_id
from otel_setup.api.start_records import record_start
from otel_setup.api.values import clean_mapping, text
from otel_setup.sdk_adapter import RANDOM_TRACE_ID, add_attributes, make_reentrant, start_span

TYPE = "otelgres.type"
FLOW_NAME = "otelgres.flow.name"

# Holds the flow's id when there is no SDK, and so no real span.
_FLOW_ID_WITHOUT_SDK = context.create_key("otelgres_flow_id")

_logger = logging.getLogger("otel_setup")


class Handle:
    """The object that ``with flow(...)`` and ``with phase(...)`` return. Usable from other threads while it is open."""

    __slots__ = ("_context", "_span", "flow_id")

    def __init__(self, flow_id: uuid.UUID, span: Span, own: Context) -> None:
        self.flow_id = flow_id
        self._span = span
        self._context = own

    @property
    def context(self) -> Context:
        """The context in which this span is current, for recording from elsewhere."""
        return self._context

    def set(self, /, **attributes: Any) -> None:
        """Adds attributes to the span. Never raises."""
        try:
            add_attributes(self._span, clean_mapping(attributes))
        except Exception:  # telemetry must not break the application
            _logger.debug("attributes were not set", exc_info=True)

    def fail(self, reason: str) -> None:
        """Sets the span's status to error, for failures without an exception. Never raises."""
        try:
            self._span.set_status(Status(StatusCode.ERROR, text(reason)))
        except Exception:  # telemetry must not break the application
            _logger.debug("a status was not set", exc_info=True)

    def checkpoint(self, name: str | enum.Enum, /, **attributes: Any) -> None:
        """Like ``checkpoint()``, but always a child of this span."""
        _checkpoint(name, attributes, self._context)


class SpanBlock(Decorator[Handle]):
    """A flow or phase. Each ``with``, and each call of a decorated function, starts a new span."""

    def __init__(self, kind: str, name: object, flow_id: object, attributes: dict[str, Any]) -> None:
        self._kind = kind
        self._name = name
        self._flow_id = flow_id
        self._attributes = attributes
        self._open: list[tuple[Handle, Any, int]] = []

    def __enter__(self) -> Handle:
        """Starts the span and makes it current."""
        try:
            handle = (
                _start_flow(self._name, self._flow_id, self._attributes)
                if self._kind == "flow"
                else _start_phase(self._name, self._attributes)
            )
        except Exception:  # telemetry must not break the application
            _logger.debug("%s was not started", self._kind, exc_info=True)
            handle = Handle(parse_flow_id(self._flow_id) or uuid.uuid4(), trace.INVALID_SPAN, context.get_current())
        self._open.append((handle, context.attach(handle._context), os.getpid()))
        return handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the span, with status error if there is an exception, which is not suppressed."""
        handle, token, pid = self._open.pop()
        detach(token)
        # In a forked child the span is a copy: only the parent may end it.
        if pid == os.getpid():
            _end(handle._span, error)

    def _copy(self) -> "SpanBlock":
        return SpanBlock(self._kind, self._name, self._flow_id, self._attributes)


def flow(name: str, flow_id: uuid.UUID | str | None = None, **attributes: Any) -> SpanBlock:
    """A unit of work: its span is the root of the trace with id ``flow_id`` (None: a new one).

    ``flow_id`` is a UUID or its text; an invalid one is replaced by a new id, with a warning. Inside another trace the
    flow is still a root span, with a link to the surrounding span; inside the trace of the same id it is a child span.
    Pass attribute names with dots as ``**{"order.id": 7}``.
    """
    return SpanBlock("flow", name, flow_id, attributes)


def phase(name: str, **attributes: Any) -> SpanBlock:
    """A part of the current flow: a child of the current span, or a root span if there is none."""
    return SpanBlock("phase", name, None, attributes)


def checkpoint(name: str | enum.Enum, *, flow_id: uuid.UUID | str | None = None, **attributes: Any) -> None:
    """A point in time in a flow: a span without duration, child of the current span. Never raises.

    The name of an enum member is its value if that is text, else its name. ``flow_id`` selects a flow whose span is not
    in this process. If the current trace (for example from ``extract``) is that flow, it has no effect; otherwise the
    checkpoint joins that trace under a parent id derived from ``flow_id``, which no span has, so that it is no root.
    """
    where = None
    if flow_id is not None:
        wanted = parse_flow_id(flow_id)
        if wanted is None:
            _logger.warning("checkpoint %s: %s is not a flow id and is ignored", text(name), text(flow_id))
        elif wanted != current_flow_id():
            where = _absent_flow(wanted)
    _checkpoint(name, attributes, where)


def current_flow_id() -> uuid.UUID | None:
    """The id of the current trace as a UUID, or None outside any trace."""
    span_context = trace.get_current_span().get_span_context()
    if span_context.is_valid:
        return uuid.UUID(int=span_context.trace_id)
    return cast("uuid.UUID | None", context.get_value(_FLOW_ID_WITHOUT_SDK))


def _start_flow(name: object, flow_id: object, attributes: dict[str, Any]) -> Handle:
    title = text(name)
    repeat_declaration(title)
    wanted = parse_flow_id(flow_id)
    if wanted is None and flow_id is not None:
        _logger.warning("flow %s: %s is not a flow id; a new one is used", title, text(flow_id))
    wanted = wanted or uuid.uuid4()
    around = trace.get_current_span().get_span_context()
    own = baggage.set_baggage(FLOW_NAME, title, context.get_current())
    fields = {**clean_mapping(attributes), TYPE: "flow", FLOW_NAME: title}
    if around.is_valid and around.trace_id == wanted.int:
        span = start_span(providers.tracer, title, own, attributes=fields)
    else:
        token = next_flow_id.set(wanted)
        try:
            # With an empty context the span is a root, and FlowIdGenerator provides its trace id.
            span = start_span(
                providers.tracer, title, Context(), attributes=fields, links=[Link(around)] if around.is_valid else None
            )
        finally:
            next_flow_id.reset(token)
    own = context.set_value(_FLOW_ID_WITHOUT_SDK, wanted, own)
    return _opened("flow", title, wanted, span, own)


def _start_phase(name: object, attributes: dict[str, Any]) -> Handle:
    title = text(name)
    around = context.get_current()
    span = start_span(providers.tracer, title, attributes=_fields("phase", attributes, around))
    return _opened("phase", title, current_flow_id(), span, around)


def _opened(kind: str, title: str, flow_id: uuid.UUID | None, span: Span, around: Context) -> Handle:
    span_context = span.get_span_context()
    if kind == "phase" and span_context.is_valid:
        flow_id = uuid.UUID(int=span_context.trace_id)
    make_reentrant(span)
    own = trace.set_span_in_context(span, around)
    if providers.starts is not None and span.is_recording():
        liveness = providers.liveness
        interval = None if liveness is None else liveness.seconds
        record_start(providers.starts, own, span, kind, title, _flow_name(around), interval)
        if liveness is not None:
            liveness.opened(span_context.span_id)
    return Handle(flow_id or uuid.uuid4(), span, own)


def _checkpoint(name: object, attributes: dict[str, Any], where: Context | None) -> None:
    try:
        if isinstance(name, enum.Enum):
            name = name.value if isinstance(name.value, str) else name.name
        now = time.time_ns()
        fields = _fields("checkpoint", attributes, context.get_current() if where is None else where)
        title = text(name)
        # A flow that consists of checkpoints only has the name of the first one.
        repeat_declaration(title)
        start_span(providers.tracer, title, where, attributes=fields, start_time=now).end(now)
    except Exception:  # telemetry must not break the application
        _logger.debug("a checkpoint was not recorded", exc_info=True)


def _fields(kind: str, attributes: dict[str, Any], around: Context) -> dict[str, Any]:
    fields = clean_mapping(attributes)
    fields[TYPE] = kind
    if name := _flow_name(around):
        fields[FLOW_NAME] = name
    return fields


def _flow_name(around: Context) -> str | None:
    name = baggage.get_baggage(FLOW_NAME, around)
    return name if isinstance(name, str) and name else None


def _absent_flow(flow_id: uuid.UUID) -> Context:
    flags = TraceFlags.SAMPLED | (RANDOM_TRACE_ID if is_random(flow_id) else 0)
    parent = SpanContext(flow_id.int, absent_span_id(flow_id), is_remote=True, trace_flags=TraceFlags(flags))
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def _end(span: Span, error: BaseException | None) -> None:
    try:
        # sys.exit(0) and closing a generator are not failures.
        if error is not None and not isinstance(error, GeneratorExit) and not _is_clean_exit(error):
            fields = exception_attributes(error)
            span.add_event("exception", fields)
            span.set_status(Status(StatusCode.ERROR, f"{fields['exception.type']}: {fields['exception.message']}"))
        span.end()
        if providers.liveness is not None:
            providers.liveness.closed(span.get_span_context().span_id)
    except Exception:  # telemetry must not break the application
        _logger.debug("a span was not ended", exc_info=True)


def _is_clean_exit(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in {None, 0}
