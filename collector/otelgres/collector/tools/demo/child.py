"""A child process that prints lines of JSON on stdout and ends when its stdin is closed."""

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
    """A child process failed; the message has the end of its stderr."""


class Child:
    """Runs ``python -m module arguments…``; a context manager that ends the process and its descendants.

    The process has its own session, so that Ctrl-C on the terminal does not reach it. Not thread-safe.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 — closed with the child
        self._lines: queue.Queue[bytes] = queue.Queue()
        # -P: do not import a folder of the working directory that has the name of one of our packages.
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
        """Waits up to ``timeout`` seconds for the next line. Raises ChildError if there is none or it is not JSON."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ChildError(f"{self.name} printed nothing for {timeout:.0f} s{self._stderr_tail()}") from None
        if not line:
            self._lines.put(b"")
            raise ChildError(f"{self.name} exited unexpectedly{self._stderr_tail()}")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ChildError(f"unexpected output of {self.name}: {line.decode(errors='replace').strip()}")
        return answer

    def ask_to_stop(self) -> None:
        """Writes ``end`` to its stdin and closes it; it may still print. Closed without ``end``, it means we died."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.write(b"end\n")
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def end(self, timeout: float) -> None:
        """Asks it to stop and waits ``timeout`` seconds; then kills it and its descendants."""
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
            # PostgreSQL writes a checkpoint when it stops, which takes a while on a slow disk.
            self.end(30.0)
        finally:
            self._kill()
            self._errors.close()

    def _kill(self) -> None:
        if self._process.poll() is not None:
            return
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            family = [process, *process.children(recursive=True)]
            for one in family:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            psutil.wait_procs(family[1:], _KILLED_SECONDS)
        self._process.wait(_KILLED_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self._lines.put(line)
        self._lines.put(b"")

    def _stderr_tail(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return ":\n" + "\n".join(lines[-_TAIL_LINES:]) if lines else "."


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
