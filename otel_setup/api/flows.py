"""Flows, phases and checkpoints: units of work as spans, where the flow's id is the trace id.

Each works as ``with``, ``async with`` and decorator. Refuses to raise anything but the application's own exceptions,
and to know whether an SDK is behind the API.
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
from otel_setup.api.expectations import remind
from otel_setup.api.ids import absent_span_id, is_random, next_flow_id, parse_flow_id
from otel_setup.api.start_records import record_start
from otel_setup.api.values import clean_mapping, text
from otel_setup.sdk_adapter import RANDOM_TRACE_ID, add_attributes, make_reentrant, start_span

TYPE = "otelgres.type"
FLOW_NAME = "otelgres.flow.name"

# Where the flow's id is found when no SDK gives the flow a span.
_FLOW_ID_WITHOUT_SDK = context.create_key("otelgres_flow_id")

_logger = logging.getLogger("otel_setup")


class Handle:
    """What a ``with flow(...)`` or ``with phase(...)`` yields. Usable from other threads while it is open."""

    __slots__ = ("_context", "_span", "flow_id")

    def __init__(self, flow_id: uuid.UUID, span: Span, own: Context) -> None:
        self.flow_id = flow_id
        self._span = span
        self._context = own

    @property
    def context(self) -> Context:
        """Where it is the current span, for what is recorded from elsewhere."""
        return self._context

    def set(self, /, **attributes: Any) -> None:
        """Adds attributes to the span. Never raises."""
        try:
            add_attributes(self._span, clean_mapping(attributes))
        except Exception:  # telemetry must not fail the work it tells of
            _logger.debug("attributes were not set", exc_info=True)

    def fail(self, reason: str) -> None:
        """Marks the span as failed where no exception does. Never raises."""
        try:
            self._span.set_status(Status(StatusCode.ERROR, text(reason)))
        except Exception:  # telemetry must not fail the work it tells of
            _logger.debug("a status was not set", exc_info=True)

    def checkpoint(self, name: str | enum.Enum, /, **attributes: Any) -> None:
        """Like ``checkpoint()``, under this span whatever span is current."""
        _checkpoint(name, attributes, self._context)


class SpanBlock(Decorator[Handle]):
    """An unopened flow or phase. Opening it again, or calling what it decorates, makes a new span each time."""

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
        except Exception:  # telemetry must not fail the work it tells of
            _logger.debug("%s was not started", self._kind, exc_info=True)
            handle = Handle(parse_flow_id(self._flow_id) or uuid.uuid4(), trace.INVALID_SPAN, context.get_current())
        self._open.append((handle, context.attach(handle._context), os.getpid()))
        return handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the span, in error when an exception comes by, which goes on its way."""
        handle, token, pid = self._open.pop()
        detach(token)
        # A forked child that runs on past the block holds a copy of a span that is its parent's to end.
        if pid == os.getpid():
            _end(handle._span, error)

    def _again(self) -> "SpanBlock":
        return SpanBlock(self._kind, self._name, self._flow_id, self._attributes)


def flow(name: str, flow_id: uuid.UUID | str | None = None, **attributes: Any) -> SpanBlock:
    """A unit of work whose span is the root of the trace with id ``flow_id`` (None: a new one).

    ``flow_id`` is a UUID or its text; what is neither costs a warning and becomes a new id. Inside another trace it
    still starts a root of its own, with a link to the span around it; inside the trace of that very id it is a child.
    Dotted attribute names go in as ``**{"order.id": 7}``.
    """
    return SpanBlock("flow", name, flow_id, attributes)


def phase(name: str, **attributes: Any) -> SpanBlock:
    """A part of the current flow: a child span of the current span, or a root of its own where there is none."""
    return SpanBlock("phase", name, None, attributes)


def checkpoint(name: str | enum.Enum, *, flow_id: uuid.UUID | str | None = None, **attributes: Any) -> None:
    """A moment in a flow: a span without duration under the current span. Never raises.

    An enum says its value if that is text, else its name. ``flow_id`` names a flow whose span is not in this process:
    where the current trace (say, from ``extract``) is that flow, this changes nothing; else the checkpoint joins the
    trace under a parent id derived from ``flow_id`` which no span has, so that it is never taken for a second root.
    """
    where = None
    if flow_id is not None:
        wanted = parse_flow_id(flow_id)
        if wanted is None:
            _logger.warning("checkpoint %s: %s is no flow id and is left out", text(name), text(flow_id))
        elif wanted != current_flow_id():
            where = _absent_flow(wanted)
    _checkpoint(name, attributes, where)


def current_flow_id() -> uuid.UUID | None:
    """The id of the trace that is current here, as a UUID, or None outside any."""
    span_context = trace.get_current_span().get_span_context()
    if span_context.is_valid:
        return uuid.UUID(int=span_context.trace_id)
    return cast("uuid.UUID | None", context.get_value(_FLOW_ID_WITHOUT_SDK))


def _start_flow(name: object, flow_id: object, attributes: dict[str, Any]) -> Handle:
    title = text(name)
    remind(title)
    wanted = parse_flow_id(flow_id)
    if wanted is None and flow_id is not None:
        _logger.warning("flow %s: %s is no flow id; it gets a new one", title, text(flow_id))
    wanted = wanted or uuid.uuid4()
    around = trace.get_current_span().get_span_context()
    own = baggage.set_baggage(FLOW_NAME, title, context.get_current())
    fields = {**clean_mapping(attributes), TYPE: "flow", FLOW_NAME: title}
    if around.is_valid and around.trace_id == wanted.int:
        span = start_span(providers.tracer, title, own, attributes=fields)
    else:
        token = next_flow_id.set(wanted)
        try:
            # An empty context makes a root; the id generator is asked for its trace id.
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
        signs = providers.liveness
        record_start(
            providers.starts, own, span, kind, title, _flow_name(around), None if signs is None else signs.seconds
        )
        if signs is not None:
            signs.opened(span_context.span_id)
    return Handle(flow_id or uuid.uuid4(), span, own)


def _checkpoint(name: object, attributes: dict[str, Any], where: Context | None) -> None:
    try:
        if isinstance(name, enum.Enum):
            name = name.value if isinstance(name.value, str) else name.name
        now = time.time_ns()
        fields = _fields("checkpoint", attributes, context.get_current() if where is None else where)
        title = text(name)
        # A flow of checkpoints alone has the name of its first.
        remind(title)
        start_span(providers.tracer, title, where, attributes=fields, start_time=now).end(now)
    except Exception:  # telemetry must not fail the work it tells of
        _logger.debug("checkpoint was not recorded", exc_info=True)


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
        # Leaving by sys.exit(0) or by closing a generator is no failure of the work.
        if error is not None and not isinstance(error, GeneratorExit) and not _is_clean_exit(error):
            fields = exception_attributes(error)
            span.add_event("exception", fields)
            span.set_status(Status(StatusCode.ERROR, f"{fields['exception.type']}: {fields['exception.message']}"))
        span.end()
        if providers.liveness is not None:
            providers.liveness.closed(span.get_span_context().span_id)
    except Exception:  # telemetry must not fail the work it tells of
        _logger.debug("a span was not ended", exc_info=True)


def _is_clean_exit(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in {None, 0}
