"""A formatter for log lines with their run, phase and terminal."""

import copy
import logging
from typing import Final, Literal

from otel_setup.api.context_attributes import current_attributes
from otel_setup.api.values import text
from otel_setup.runs import current

DEFAULT: Final = "%(asctime)s %(levelname)s %(name)s [%(execution_id)s %(execution_phase)s %(terminal_id)s] %(message)s"
_FIELDS: Final = ("execution_phase", "terminal_id", "region_code")
_NOTHING: Final = "-"


class RunFormatter(logging.Formatter):
    """Adds ``execution_id``, ``execution_phase``, ``terminal_id`` and ``region_code`` to the fields of a format.

    They are read on the thread that formats: the logging thread, except with a QueueHandler.
    """

    def __init__(self, fmt: str | None = None, datefmt: str | None = None, style: Literal["%", "{", "$"] = "%") -> None:
        super().__init__(fmt or DEFAULT, datefmt, style)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (stdlib's name)
        """The line of ``record``, which is not changed, since other handlers use it too."""
        line = copy.copy(record)
        carried = current_attributes()
        execution = current.execution()
        fields = {"execution_id": str(execution.execution_id) if execution is not None else _NOTHING}
        fields |= {name: text(carried.get(name, _NOTHING)) for name in _FIELDS}
        line.__dict__.update({name: value for name, value in fields.items() if name not in record.__dict__})
        return super().formatMessage(line)
