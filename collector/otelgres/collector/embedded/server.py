"""Starts the server process in its own session, waits until it is ready, and stops it."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from otelgres.collector.embedded import binaries, postmaster, tuning
from otelgres.collector.embedded.errors import failure
from otelgres.collector.embedded.os_user import ServerUser
from otelgres.collector.embedded.postmaster import Postmaster
from otelgres.collector.system.folder import Folder

_POLL = 0.01  # seconds; a start takes 0.05 to 0.2
_IMMEDIATE = 5.0  # seconds at most for a shutdown without a checkpoint; it takes 0.1


def launch(programs: Path, pgdata: Path, user: ServerUser, output: Path, timeout: float) -> Postmaster:
    """Start a server and return when it accepts connections, after crash recovery if needed.

    ``output`` receives what it prints before its log file is open. ``timeout`` (seconds) is counted from its last
    output: recovery reports every 10 s and may take minutes, and stopping it would only restart it. Raises
    EmbeddedPostgresError if the server exits or times out; then no process is left running.
    """
    began = time.monotonic()
    while True:
        log = _Log(pgdata, output)
        process = _spawn(programs, pgdata, user, output)
        try:
            server = _await_ready(process, pgdata, log, timeout)
        except BaseException:
            stop(process, programs, pgdata, 0)
            raise
        if server is not None:
            return server
        if process.poll() is None:
            stop(process, programs, pgdata, 0)
            raise failure(f"PostgreSQL on {pgdata} was not ready after {timeout:.0f} s, so it was stopped", log.text())
        # Child processes of a killed server keep its shared memory until they notice, which takes a moment.
        if "pre-existing shared memory block" not in log.text() or time.monotonic() - began > timeout:
            raise failure(f"PostgreSQL did not start on {pgdata}", log.text())
        time.sleep(10 * _POLL)


def stop(process: psutil.Process, programs: Path, pgdata: Path, timeout: float) -> None:
    """Stop a server: a fast shutdown for ``timeout`` seconds (skipped if 0), then an immediate one, then a kill.

    All three are safe for committed data; after the last two the next start recovers from the WAL.
    """
    if sys.platform == "win32":  # no signals there: pg_ctl uses the server's named pipe
        for mode in ("fast", "immediate"):
            seconds = str(max(1, int(timeout)))
            command = [str(programs / "pg_ctl"), "stop", "-D", str(pgdata), "-m", mode, "-t", seconds]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                return
        process.kill()
        return
    immediate = max(1.0, min(timeout, _IMMEDIATE))
    for number, grace_seconds in ((signal.SIGINT, timeout), (signal.SIGQUIT, immediate), (signal.SIGKILL, _IMMEDIATE)):
        if grace_seconds <= 0:
            continue
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        if _ends(process, grace_seconds):
            return


def _ends(process: psutil.Process, grace_seconds: float) -> bool:
    # Not process.wait(): for a process that is not our child it waits until it is reaped, which never happens in a
    # container without an init.
    deadline = time.monotonic() + grace_seconds
    while postmaster.alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    if isinstance(process, psutil.Popen):
        process.wait()
    return True


class _Log:
    """The server's messages from now on, in ``output`` (emptied at each start) and appended to its log files."""

    def __init__(self, pgdata: Path, output: Path) -> None:
        self._output = output
        self._pgdata = pgdata
        self._before = self._sizes()

    @contextmanager
    def _folders(self) -> Iterator[tuple[Folder | None, Folder]]:
        """The folder of the log files, None if there is none, and that of ``output``."""
        with ExitStack() as opened:
            logs = None
            with suppress(OSError):
                pgdata = opened.enter_context(Folder(self._pgdata))
                logs = opened.enter_context(pgdata.folder(tuning.LOGS))
            yield logs, opened.enter_context(Folder(self._output.parent, links=True))

    def _sizes(self) -> dict[str, int]:
        with self._folders() as (logs, _):
            return {name: logs.size(name) for name in logs.names() if name.endswith(".log")} if logs else {}

    def sizes(self) -> tuple[int, ...]:
        with self._folders() as (_, data):
            return (data.size(self._output.name), *self._sizes().values())

    def text(self) -> str:
        with self._folders() as (logs, data):
            found = [logs.tail(name, self._before.get(name, 0)) for name in self._sizes()] if logs else []
            return "\n".join([data.tail(self._output.name), *found])


def _spawn(programs: Path, pgdata: Path, user: ServerUser, output: Path) -> psutil.Popen:
    if sys.platform == "win32":  # postgres does not start with administrator rights; pg_ctl drops them
        command = [str(programs / "pg_ctl"), "start", "-W", "-D", str(pgdata), "-l", str(output)]
        return psutil.Popen(command, env=binaries.environment(), stdin=subprocess.DEVNULL)
    with Folder(output.parent, links=True) as folder:
        folder.remove(output.name)
        descriptor = folder.create(output.name)
    with os.fdopen(descriptor, "wb") as log:
        return psutil.Popen(
            user.command([str(programs / "postgres"), "-D", user.working_directory(pgdata)]),
            cwd=pgdata,
            env=binaries.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C must not reach the server: it is stopped after the receiver
        )


def _await_ready(process: psutil.Popen, pgdata: Path, log: _Log, timeout: float) -> Postmaster | None:
    sizes, deadline = log.sizes(), time.monotonic() + timeout
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        server = postmaster.find(pgdata)
        if server is not None and server.ready:
            if sys.platform == "win32":
                return server
            if server.process.pid == process.pid:
                return dataclasses.replace(server, process=process)
        if ended and (sys.platform != "win32" or process.returncode != 0):
            return None
        if log.sizes() != sizes:
            sizes, deadline = log.sizes(), time.monotonic() + timeout
        time.sleep(_POLL)
    return None
