"""The console and the rotating file, as handlers of the root logger. Refuses to know databases and levels.

Stdlib's own handlers; a console that cannot be written is remembered, so that records need not count as seen.
"""

import logging
import sys
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, TextIO

from opentelemetry.context import get_current

from otel_setup.sdk_adapter import SUPPRESS_INSTRUMENTATION

_OURS: Final = "otel_setup"


class Console(logging.StreamHandler[TextIO]):
    """Writes to whatever ``sys.stdout`` is at the time."""

    def __init__(self, form: str) -> None:
        super().__init__(sys.stdout)
        self.broken = False
        self.setFormatter(logging.Formatter(form))
        self.addFilter(not_about_exports)

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one record. What cannot be printed is no error of the application."""
        self.stream = sys.stdout
        self.broken = False
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (stdlib's name)
        """Remembers it; the record goes on to the database, and from there, if need be, to stderr."""
        self.broken = True


def rotating_file(section: Mapping[str, Any]) -> RotatingFileHandler:
    """The file, its folder made. Raises OSError."""
    path = Path(section["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        path, maxBytes=section["max_bytes"], backupCount=section["backups"], encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(logging.Formatter(section["format"]))
    handler.addFilter(not_about_exports)
    return handler


def not_about_exports(record: logging.LogRecord) -> bool:
    """Whether ``record`` was not made by storing others: of a database away, one warning of ours is enough."""
    return record.name == _OURS or not get_current().get(SUPPRESS_INSTRUMENTATION)
