"""Propagates a flow through messages: the W3C headers in a small dict under one key of the message.

Always uses W3C trace context and baggage, independent of ``OTEL_PROPAGATORS``. An invalid carrier counts as none.
"""

import logging
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_setup.api.context_managers import Block
from otel_setup.api.detach import detach
from otel_setup.api.flows import FLOW_NAME

_FIELDS = ("traceparent", "tracestate", "baggage")
_trace_context = TraceContextTextMapPropagator()
_baggage = W3CBaggagePropagator()
_logger = logging.getLogger("otel_setup")


def inject(message: dict[str, Any] | None = None, key: str = "otel") -> dict[str, Any]:
    """Adds the current trace, flow name and baggage to ``message`` (None: a new dict) under ``key``; returns it.

    The carrier is ``{"traceparent": …, "baggage": …}``, valid JSON, and empty outside any trace. Never raises.
    """
    carrier: dict[str, str] = {}
    try:
        _trace_context.inject(carrier)
        _baggage.inject(carrier)
    except Exception:  # the message is sent without its flow
        _logger.debug("a flow was not added to a message", exc_info=True)
    if message is None:
        message = {}
    try:
        message[key] = carrier
    except TypeError:
        _logger.warning("inject() needs a dict, got %s: no flow was added", type(message).__name__)
    return message


class Extraction(Block[uuid.UUID | None]):
    """A block in which the context received with a message is current (``with`` or ``async with``)."""

    def __init__(self, received: Context | None) -> None:
        self._received = received
        self._tokens: list[Any] = []

    def __enter__(self) -> uuid.UUID | None:
        """Makes the flow of the message current. Returns its id, or None if the message has none."""
        current = context.get_current() if self._received is None else self._received
        self._tokens.append(context.attach(current))
        return None if self._received is None else uuid.UUID(int=_trace_id(self._received))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restores the previous context."""
        detach(self._tokens.pop())


def extract(message: object, key: str = "otel") -> Extraction:
    """Continues the flow that ``inject`` stored under ``key``: ``with extract(message): with phase(…): …``.

    Without a valid carrier the current context stays. Never raises.
    """
    try:
        return Extraction(_read(message, key))
    except Exception:  # noqa: BLE001 — a malformed carrier must not stop the handling of the message
        return Extraction(None)


def _read(message: object, key: str) -> Context | None:
    carrier = message.get(key) if isinstance(message, Mapping) else None
    if not isinstance(carrier, Mapping):
        return None
    # The propagators raise if a value is not a string.
    fields = {name: value for name in _FIELDS if isinstance(value := carrier.get(name), str)}
    # The received flow must not get the name of the current one.
    base = baggage.remove_baggage(FLOW_NAME, context.get_current())
    received = _trace_context.extract(fields, trace.set_span_in_context(trace.INVALID_SPAN, base))
    if not _trace_id(received):
        return None
    try:
        return _baggage.extract(fields, received)
    except ValueError:
        return received


def _trace_id(received: Context) -> int:
    return trace.get_current_span(received).get_span_context().trace_id
