"""The console and the rotating file: stdlib handlers for the root logger.

A console that cannot be written is marked as broken, so that its records are not counted as printed.
"""

import logging
import sys
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, TextIO

from opentelemetry.context import get_current

from otel_setup.sdk_adapter import SUPPRESS_INSTRUMENTATION

_OWN_LOGGER: Final = "otel_setup"


class Console(logging.StreamHandler[TextIO]):
    """Writes to the current ``sys.stdout``."""

    def __init__(self, form: str) -> None:
        super().__init__(sys.stdout)
        self.broken = False
        self.setFormatter(logging.Formatter(form))
        self.addFilter(not_about_exports)

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one record. Never raises."""
        self.stream = sys.stdout
        self.broken = False
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (stdlib's name)
        """Marks the console as broken; the record still goes to the database, or to its fallback."""
        self.broken = True


def rotating_file(section: Mapping[str, Any]) -> RotatingFileHandler:
    """The handler of the file; creates its directory. Raises OSError."""
    path = Path(section["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        path, maxBytes=section["max_bytes"], backupCount=section["backups"], encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(logging.Formatter(section["format"]))
    handler.addFilter(not_about_exports)
    return handler


def not_about_exports(record: logging.LogRecord) -> bool:
    """False for records made during an export, except this library's, which warns once per outage."""
    return record.name == _OWN_LOGGER or not get_current().get(SUPPRESS_INSTRUMENTATION)
