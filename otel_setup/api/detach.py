"""``detach``: undoes ``context.attach``, also in another thread or task (where a generator may be closed).

A token is invalid there, and OpenTelemetry's own ``detach`` would write a traceback to the application's log and stderr.
"""

import contextlib
from contextvars import Token
from typing import Any

from opentelemetry import context


def detach(token: Any) -> None:
    """Restores the context before the ``attach`` that returned ``token``; does nothing in another context.

    Never raises.
    """
    if not isinstance(token, Token):
        # From a runtime context chosen by the application (OTEL_PYTHON_CONTEXT).
        context.detach(token)
        return
    # Raised in another context, whose current values must stay.
    with contextlib.suppress(ValueError, RuntimeError):
        token.var.reset(token)
