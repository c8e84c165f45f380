"""Which operations belong together: a session id of 8 hex digits, one for the process unless a block has its own.

Carried into async tasks by context; a bare thread has the process's id. Refuses to know operations.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextvars import ContextVar

from otel_setup.api.context_attributes import context_attributes

_session: ContextVar[str | None] = ContextVar("otelgres_session", default=None)
_process = secrets.token_hex(4)


def _new_process() -> None:
    global _process
    _process = secrets.token_hex(4)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_process)


def current_session_id() -> str:
    """The id of the block that this is in, else of the process."""
    return _session.get() or _process


@contextlib.contextmanager
def session(session_id: str | None = None) -> Iterator[str]:
    """A block whose operations share an id, a new one unless it is given; yields it."""
    chosen = session_id or secrets.token_hex(4)
    token = _session.set(chosen)
    try:
        # Spans of instrumented drivers, and every other record inside, belong to it too.
        with context_attributes({"session.id": chosen}):
            yield chosen
    finally:
        _session.reset(token)
