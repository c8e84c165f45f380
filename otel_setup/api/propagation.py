"""Carries a flow through a message: the W3C headers in a small dict under one key of the message.

Always W3C trace context and baggage, whatever ``OTEL_PROPAGATORS`` says, since both ends are ours. Refuses to trust
what arrives: anything that is not a good carrier is the same as none.
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
    """``message`` (None: a new dict) with the current trace, flow name and baggage under ``key``. Never raises.

    The carrier is ``{"traceparent": …, "baggage": …}``, empty outside any trace; all of it is JSON.
    """
    carrier: dict[str, str] = {}
    try:
        _trace_context.inject(carrier)
        _baggage.inject(carrier)
    except Exception:  # a message without its flow is better than no message
        _logger.debug("the flow was not put into a message", exc_info=True)
    if message is None:
        message = {}
    try:
        message[key] = carrier
    except TypeError:
        _logger.warning("inject() needs a dict and got %s: it carries no flow", type(message).__name__)
    return message


class Extraction(Block[uuid.UUID | None]):
    """A context that came with a message, current while this is entered, in ``with`` or ``async with``."""

    def __init__(self, arrived: Context | None) -> None:
        self._arrived = arrived
        self._tokens: list[Any] = []

    def __enter__(self) -> uuid.UUID | None:
        """Makes the flow of the message current; its id, or None where the message brought none."""
        current = context.get_current() if self._arrived is None else self._arrived
        self._tokens.append(context.attach(current))
        return None if self._arrived is None else uuid.UUID(int=_trace_id(self._arrived))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Puts back what was current before."""
        detach(self._tokens.pop())


def extract(message: object, key: str = "otel") -> Extraction:
    """The flow that ``inject`` put under ``key``, to be continued: ``with extract(message): with phase(…): …``.

    A message without a good carrier changes nothing: what is current stays current. Never raises.
    """
    try:
        return Extraction(_read(message, key))
    except Exception:  # noqa: BLE001 — whatever a stranger put there, the message must still be handled
        return Extraction(None)


def _read(message: object, key: str) -> Context | None:
    carrier = message.get(key) if isinstance(message, Mapping) else None
    if not isinstance(carrier, Mapping):
        return None
    # The propagators raise on values that are not text.
    fields = {name: value for name in _FIELDS if isinstance(value := carrier.get(name), str)}
    # The name of a flow that is current here must not stick to the one that arrives.
    here = baggage.remove_baggage(FLOW_NAME, context.get_current())
    arrived = _trace_context.extract(fields, trace.set_span_in_context(trace.INVALID_SPAN, here))
    if not _trace_id(arrived):
        return None
    try:
        return _baggage.extract(fields, arrived)
    except ValueError:
        return arrived


def _trace_id(arrived: Context) -> int:
    return trace.get_current_span(arrived).get_span_context().trace_id
