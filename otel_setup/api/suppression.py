"""Suppressed telemetry: spans and log records created inside are not exported.

The flag is part of OpenTelemetry's context; ``sdk.suppression_filters`` applies it.
"""

from typing import Final

from opentelemetry import context
from opentelemetry.context import Context

_KEY: Final = context.create_key("otelgres_suppressed")


def suppress_telemetry(where: Context | None = None) -> Context:
    """A context based on ``where`` (None: the current one) in which telemetry is suppressed."""
    return context.set_value(_KEY, True, where)


def is_suppressed(where: Context | None = None) -> bool:
    """Whether telemetry is suppressed in the current context or in ``where``."""
    # A flow starts its root span in an empty context, so the current one counts as well.
    return context.get_value(_KEY) is True or (where is not None and context.get_value(_KEY, where) is True)
