"""Attributes added to every log record, span and event recorded inside a block.

They are part of OpenTelemetry's context, so they follow awaited coroutines, tasks and (see ``threads`` of
``configure_telemetry``) threads. They do not leave the process: use baggage for that. ``sdk.context_processors`` adds
them to the records.
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
    """A block with attributes: usable as ``with``, ``async with`` and decorator (not for generators)."""

    __slots__ = ("_attributes", "_tokens")

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self._tokens: list[Any] = []

    def __enter__(self) -> None:
        """Adds the attributes to the current context; they replace outer ones of the same name."""
        try:
            added = clean_mapping(self._attributes)
        except Exception:  # telemetry must not break the application
            _logger.debug("context attributes could not be read and are ignored", exc_info=True)
            added = {}
        self._tokens.append(context.attach(context.set_value(_KEY, {**current_attributes(), **added})))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restores the previous attributes."""
        detach(self._tokens.pop())

    def _copy(self) -> "ContextAttributes":
        return ContextAttributes(self._attributes)


def context_attributes(attributes: Mapping[str, Any] | None = None, /, **named: Any) -> ContextAttributes:
    """Adds attributes to every log record, span and event recorded inside; use the mapping for names with dots.

    A record's own attribute of the same name takes precedence.
    """
    return ContextAttributes({**(attributes or {}), **named})


def current_attributes(where: Context | None = None) -> Mapping[str, Any]:
    """The attributes of the current context (or of ``where``). Do not modify the result."""
    attributes = context.get_value(_KEY, where)
    return cast(Mapping[str, Any], attributes) if attributes is not None else _NONE
