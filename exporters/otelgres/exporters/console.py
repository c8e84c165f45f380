"""An exporter that prints batches as lines on stdout or stderr: the last resort of an application.

It writes to the file descriptor, because a thread that holds the lock of ``sys.stdout`` at interpreter shutdown would
abort the process.
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
    """Prints on the stream that ``sys`` has under the name ``stream`` at the time of writing."""

    def __init__(self, stream: Literal["stdout", "stderr"] = "stdout") -> None:
        self._stream = stream

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Accepted: the lines are written. Invalid: not an OTLP request. Unavailable: the stream cannot be written."""
        return [self._print(batch) for batch in batches]

    def close(self) -> None:
        """Does nothing: the stream belongs to the application."""

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
            return Overloaded(_RETRY_AFTER, f"{self._stream} is blocked: {error}")
        except Exception as error:  # noqa: BLE001 — closed, detached, None, or an object of the application
            return Unavailable(_RETRY_AFTER, f"{self._stream} cannot be written: {error}")
        return Accepted()


def _write(stream: Any, text: str) -> None:
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # a stream without a file, as in notebooks and tests
        stream.write(text)
        stream.flush()
        return
    rest = memoryview(text.encode(getattr(stream, "encoding", None) or "utf-8", "backslashreplace"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
