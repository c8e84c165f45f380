"""Session ids that group operations: 8 hex digits, one per process unless a block sets its own.

Async tasks inherit the id of the block; a plain thread has the id of the process.
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
    """The id of the current block, else of the process."""
    return _session.get() or _process


@contextlib.contextmanager
def session(session_id: str | None = None) -> Iterator[str]:
    """A block whose operations share ``session_id`` (None: a new id); yields the id."""
    chosen = session_id or secrets.token_hex(4)
    token = _session.set(chosen)
    try:
        # Also adds the id to spans of instrumented drivers and to all other records.
        with context_attributes({"session.id": chosen}):
            yield chosen
    finally:
        _session.reset(token)
