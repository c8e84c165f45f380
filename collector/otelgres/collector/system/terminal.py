"""What a terminal shows: text of senders, databases and servers controls nothing.

``guard_streams`` makes stdout and stderr escape what a terminal would interpret, whatever a command writes to them. Not
where they are a file or a pipe, which get the data as it is. ``inspect.console`` is for output with colours.
"""

import io
import re
import sys
from typing import Any, Final, TextIO

# Control characters but tab, newline and a carriage return before it; C1, which are sequences in one character; what
# reorders text (bidirectional controls) or breaks lines; and lone surrogates, which no encoding has.
_INTERPRETED: Final = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]|\\r(?!\\n)"
)


def escaped(text: str) -> str:
    r"""``text`` with ``\u001b`` for what a terminal would interpret: also in JSON, where it is the same string."""
    return _INTERPRETED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def stripped(text: str) -> str:
    """``text`` without what a terminal would interpret. It is as wide as before."""
    return _INTERPRETED.sub("", text)


def clean(text: str, instead: str = " ") -> str:
    """``text`` on one line, with ``instead`` for each character that is not printable."""
    return text if text.isprintable() else "".join(one if one.isprintable() else instead for one in text)


def guard_streams() -> None:
    """Replaces ``sys.stdout`` and ``sys.stderr`` where they are terminals. A second call does nothing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, GuardedStream) and stream.isatty():
            setattr(sys, name, GuardedStream(stream))


class GuardedStream(io.TextIOWrapper):
    """A terminal's stream that escapes what is written, as text and as bytes. ``unguarded`` is the stream itself."""

    def __init__(self, unguarded: TextIO) -> None:
        encoding = unguarded.encoding or "utf-8"
        super().__init__(
            _GuardedBuffer(unguarded, encoding), encoding, errors="backslashreplace", newline="\n", write_through=True
        )
        self.unguarded = unguarded


class _GuardedBuffer(io.BufferedIOBase):
    def __init__(self, stream: TextIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding

    def writable(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return self._stream.name

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, data: Any) -> int:
        given = bytes(data)
        self._stream.write(escaped(given.decode(self._encoding, "backslashreplace")))
        self._stream.flush()
        return len(given)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Does nothing: the stream belongs to the process."""
