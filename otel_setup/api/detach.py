"""The end of what ``context.attach`` began, wherever it comes: a generator may be closed by another thread or task.

There the token is of no use, and OpenTelemetry's own ``detach`` writes a traceback to the application's log and stderr
for it. Refuses to know what was attached.
"""

import contextlib
from contextvars import Token
from typing import Any

from opentelemetry import context


def detach(token: Any) -> None:
    """Back to the context before ``attach`` gave ``token``; in another context nothing is changed. Never raises."""
    if not isinstance(token, Token):
        # Of a runtime context of the application's own (OTEL_PYTHON_CONTEXT).
        context.detach(token)
        return
    # What is current where it was attached belongs to whoever runs there now.
    with contextlib.suppress(ValueError, RuntimeError):
        token.var.reset(token)
