"""Attributes that everything recorded in a piece of work carries: every log record, span and event made inside.

They travel with OpenTelemetry's context: into awaited coroutines, tasks and (see ``threads`` of
``configure_telemetry``) threads, but never to another process, which is what baggage is for. Refuses to know what the
attributes mean, and the SDK: ``context_processors`` writes them onto records.
"""

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, cast

from opentelemetry import context
from opentelemetry.context import Context

from otel_setup.api.context_managers import Decorator
from otel_setup.api.detach import detach
from otel_setup.api.values import clean_mapping

_KEY = context.create_key("otelgres_context_attributes")
_NONE: Mapping[str, Any] = {}

_logger = logging.getLogger("otel_setup")


class ContextAttributes(Decorator[None]):
    """An unopened piece of work with attributes: ``with``, ``async with`` and decorator (not of generators)."""

    __slots__ = ("_attributes", "_tokens")

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self._tokens: list[Any] = []

    def __enter__(self) -> None:
        """From here on the attributes are carried; those around it stay unless they have the same name."""
        try:
            added = clean_mapping(self._attributes)
        except Exception:  # telemetry must not fail the work it tells of
            _logger.debug("context attributes were left out", exc_info=True)
            added = {}
        self._tokens.append(context.attach(context.set_value(_KEY, {**current_attributes(), **added})))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Back to what was carried before."""
        detach(self._tokens.pop())

    def _again(self) -> "ContextAttributes":
        return ContextAttributes(self._attributes)


def context_attributes(attributes: Mapping[str, Any] | None = None, /, **named: Any) -> ContextAttributes:
    """Attributes for every log record, span and event made inside; dotted names go in by the mapping.

    A record's own attribute of the same name wins.
    """
    return ContextAttributes({**(attributes or {}), **named})


def current_attributes(where: Context | None = None) -> Mapping[str, Any]:
    """What is carried here (or in ``where``); not to be changed."""
    carried = context.get_value(_KEY, where)
    return cast(Mapping[str, Any], carried) if carried is not None else _NONE
