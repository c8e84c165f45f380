"""A exporter that prints batches as lines on stdout or stderr: the last resorts of an application.

Writes to the file descriptor and not through ``sys.stdout``: a thread that holds the stream's lock while the
interpreter ends would abort the process. Refuses to know what is in a batch.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal

from otelgres.exporters.batch import Batch
from otelgres.exporters.console_lines import lines
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, Unavailable

_RETRY_AFTER = 5.0


class ConsoleExporter:
    """Prints on ``stream``, whatever ``sys`` has under that name at the time."""

    def __init__(self, stream: Literal["stdout", "stderr"] = "stdout") -> None:
        self._stream = stream

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Accepted once its lines are written; Invalid if a batch is no request; Unavailable if there is no stream."""
        return [self._print(batch) for batch in batches]

    def close(self) -> None:
        """Nothing: the stream is the application's."""

    def _print(self, batch: Batch) -> Outcome:
        shown = lines(batch)
        if shown is None:
            return Invalid(f"not an OTLP {batch.signal} request")
        if not shown:
            return Accepted()
        stream: Any = getattr(sys, self._stream)
        try:
            _write(stream, "".join(f"{line}\n" for line in shown))
        except BlockingIOError as error:
            return Overloaded(_RETRY_AFTER, f"{self._stream} takes no more: {error}")
        except Exception as error:  # noqa: BLE001 — closed, detached, None, or an application's own object
            return Unavailable(_RETRY_AFTER, f"{self._stream} cannot be written: {error}")
        return Accepted()


def _write(stream: Any, text: str) -> None:
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # a notebook's or a test's
        stream.write(text)
        stream.flush()
        return
    rest = memoryview(text.encode(getattr(stream, "encoding", None) or "utf-8", "backslashreplace"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
