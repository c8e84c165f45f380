"""Reentrant locks for spans: a signal handler may set attributes while it interrupts code that sets some.

With the SDK's own locks the thread would wait for itself.
"""

import threading
from typing import Any

from opentelemetry.trace import Span


def make_reentrant(span: Span) -> None:
    """Replaces the locks of ``span`` with reentrant ones. Call it before the span is shared."""
    for locked in (span, getattr(span, "_attributes", None)):
        if hasattr(locked, "_lock"):
            changed: Any = locked
            changed._lock = threading.RLock()
