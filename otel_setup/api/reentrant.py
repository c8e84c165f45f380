"""Spans on which a signal handler may set attributes while it has interrupted somebody setting some.

The SDK's locks would wait for the very thread that waits. Refuses to know what is set.
"""

import threading
from typing import Any

from opentelemetry.trace import Span


def make_reentrant(span: Span) -> None:
    """Gives ``span`` locks that its own thread may take twice, before anybody else knows it."""
    for locked in (span, getattr(span, "_attributes", None)):
        if hasattr(locked, "_lock"):
            changed: Any = locked
            changed._lock = threading.RLock()
