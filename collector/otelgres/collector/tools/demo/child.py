"""A process that we start, that says lines of JSON on stdout, and that ends when its stdin closes.

Refuses to know what the process is for.
"""

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

import psutil

_KILLED_SECONDS = 5.0
_TAIL_LINES = 15


class ChildError(Exception):
    """A process did not do what it was started for; the message has its last words."""


class Child:
    """``python -m module arguments…``; a context manager after which the process and its descendants are gone.

    It is in a session of its own: a Ctrl-C on our terminal is for us, and we end it. Not for use by several threads.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 — closed with the child
        self._lines: queue.Queue[bytes] = queue.Queue()
        # -P: a folder named like one of our packages, where the user happens to be, is not to be imported.
        command = [sys.executable, "-P", "-m", module, *arguments]
        self._process = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            **_own_group(),
        )
        threading.Thread(target=self._read, name=f"{name}-stdout", daemon=True).start()

    def line(self, timeout: float) -> dict[str, Any]:
        """The next line it says, awaited for ``timeout`` seconds. Raises ChildError if there is none."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ChildError(f"{self.name} said nothing for {timeout:.0f} s{self._last_words()}") from None
        if not line:
            self._lines.put(b"")
            raise ChildError(f"{self.name} ended before its time{self._last_words()}")
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise ChildError(f"{self.name} said something else than expected: {line.decode(errors='replace').strip()}")
        return said

    def ask_to_stop(self) -> None:
        """Says so on its stdin and closes that; a close without a word means that we died. It can still speak."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.write(b"end\n")
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def end(self, timeout: float) -> None:
        """Tells it to end and waits ``timeout`` seconds; then it is killed with all that it has started."""
        self.ask_to_stop()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # PostgreSQL writes a checkpoint when it stops, which on a slow disk takes a while.
            self.end(30.0)
        finally:
            self._kill()
            self._errors.close()

    def _kill(self) -> None:
        if self._process.poll() is not None:
            return
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            doomed = [process, *process.children(recursive=True)]
            for one in doomed:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            psutil.wait_procs(doomed[1:], _KILLED_SECONDS)
        self._process.wait(_KILLED_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self._lines.put(line)
        self._lines.put(b"")

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return ":\n" + "\n".join(lines[-_TAIL_LINES:]) if lines else "."


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
