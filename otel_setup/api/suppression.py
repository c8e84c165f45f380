"""Work whose telemetry is withheld: of what is made inside, no span and no log record leaves the process.

Carried by OpenTelemetry's context as everything else is. Refuses to know the SDK: ``withholding`` obeys it there.
"""

from typing import Final

from opentelemetry import context
from opentelemetry.context import Context

_KEY: Final = context.create_key("otelgres_suppressed")


def suppress_telemetry(where: Context | None = None) -> Context:
    """``where`` (None: the current context) with everything below it withheld."""
    return context.set_value(_KEY, True, where)


def is_suppressed(where: Context | None = None) -> bool:
    """Whether telemetry made here, or in ``where``, is withheld."""
    # A flow starts its root in an empty context: what counts then is where it is started.
    return context.get_value(_KEY) is True or (where is not None and context.get_value(_KEY, where) is True)
