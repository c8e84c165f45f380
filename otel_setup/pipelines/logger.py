"""A logger whose calls take fields: ``log.info("loaded", rows=5)``. Levels and handlers are those of stdlib logging."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from otel_setup.api.values import text

_log = logging.getLogger("otel_setup")
# Attributes of stdlib records: logging raises for a field with such a name.
_RESERVED: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "otelTraceID", "otelSpanID"}
# Stack frames from the caller to logging: the public method and `_emit`.
_DEPTH: Final = 3


class StructuredLogger:
    """Logger ``name`` with ``fields`` that all its records have. Thread-safe."""

    __slots__ = ("_fields", "_logger")

    def __init__(self, name: str, **fields: Any) -> None:
        self._logger = logging.getLogger(name)
        self._fields = fields

    @property
    def name(self) -> str:
        """The name of the logger."""
        return self._logger.name

    def bind(self, **fields: Any) -> "StructuredLogger":
        """The same logger with more fields."""
        return StructuredLogger(self._logger.name, **{**self._fields, **fields})

    def debug(self, message: object, **fields: Any) -> None:
        """Logs at DEBUG."""
        self._emit(logging.DEBUG, message, fields)

    def info(self, message: object, **fields: Any) -> None:
        """Logs at INFO. ``performance=`` is a mapping of measurements, ``exc_info=`` an exception or True."""
        self._emit(logging.INFO, message, fields)

    def warning(self, message: object, **fields: Any) -> None:
        """Logs at WARNING."""
        self._emit(logging.WARNING, message, fields)

    def error(self, message: object, **fields: Any) -> None:
        """Logs at ERROR; inside ``except`` with the traceback, unless ``exc_info=False``."""
        self._emit(logging.ERROR, message, fields, traceback=True)

    def critical(self, message: object, **fields: Any) -> None:
        """Logs at CRITICAL, otherwise as ``error``."""
        self._emit(logging.CRITICAL, message, fields, traceback=True)

    def exception(self, message: object, **fields: Any) -> None:
        """Same as ``error``, under the name it has in stdlib logging."""
        self._emit(logging.ERROR, message, fields, traceback=True)

    def log(self, level: int | str, message: object, **fields: Any) -> None:
        """Logs at ``level``, a number or name; an unknown name is INFO."""
        number = level if isinstance(level, int) else logging.getLevelNamesMapping().get(text(level).upper(), 20)
        self._emit(number, message, fields)

    @contextmanager
    def timed(self, message: object, **fields: Any) -> Iterator[None]:
        """Logs when the block ends, at ERROR if it raises; ``performance`` has ``duration_ms`` and ``cpu_time_ms``."""
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()

        def fields_with_times() -> dict[str, Any]:
            spent = {
                "duration_ms": (time.perf_counter_ns() - wall) / 1e6,
                "cpu_time_ms": (time.thread_time_ns() - cpu) / 1e6,
            }
            return {**fields, "performance": {**spent, **_mapping(fields.get("performance"))}}

        try:
            yield
        except BaseException:
            self._emit(logging.ERROR, message, fields_with_times(), traceback=True)
            raise
        self._emit(logging.INFO, message, fields_with_times())

    def _emit(self, level: int, message: object, fields: Mapping[str, Any], *, traceback: bool = False) -> None:
        try:
            if not self._logger.isEnabledFor(level):
                return
            extra = {**self._fields, **fields}
            exception = extra.pop("exc_info", None)
            if exception is None and traceback:
                # Without an exception, exc_info=True would print "NoneType: None".
                exception = sys.exc_info()[1]
            for name in _RESERVED.intersection(extra):
                extra[f"{name}_"] = extra.pop(name)
            self._logger.log(level, text(message), extra=extra, exc_info=exception, stacklevel=_DEPTH)
        except Exception:  # noqa: BLE001 (telemetry must not break the application)
            _log.debug("a record was not logged", exc_info=True)


def get_structured_logger(name: str, **fields: Any) -> StructuredLogger:
    """A logger of that name, with ``fields`` that all its records have."""
    return StructuredLogger(name, **fields)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
