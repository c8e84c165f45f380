"""``detach``: undoes ``context.attach``, also in another thread or task (where a generator may be closed).

There the token is invalid, and OpenTelemetry's own ``detach`` would log a traceback.
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
