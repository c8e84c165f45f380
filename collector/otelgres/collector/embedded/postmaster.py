"""Finds the server running on a data directory: reads postmaster.pid and checks the process, as pids are reused."""

import contextlib
import fnmatch
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from otelgres.collector.embedded.run_as import command as run_as
from otelgres.collector.system.folder import Folder

SUPERUSER = "postgres"
PIDFILE = "postmaster.pid"


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server process and where it listens."""

    process: psutil.Process
    port: int
    socket_dir: Path | None
    ready: bool


def alive(process: psutil.Process) -> bool:
    """Whether a process is running; a zombie is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def find(pgdata: Path) -> Postmaster | None:
    """The server running on ``pgdata``, or None. Raises PermissionError if the directory cannot be read."""
    lines = _lines(pgdata)
    try:
        process = psutil.Process(int(lines[0]))
        if not _serves(process, pgdata):
            return None
    except (IndexError, ValueError, psutil.NoSuchProcess):
        return None
    return Postmaster(
        process=process,
        port=int(lines[3]) if len(lines) > 3 and lines[3] else 0,
        socket_dir=pgdata / lines[4] if len(lines) > 4 and lines[4] else None,
        ready=len(lines) > 7 and lines[7] == "ready",
    )


def socket_dir_left(pgdata: Path) -> Path | None:
    """The socket directory of the last server, if it is outside ``pgdata``."""
    lines = _lines(pgdata)
    return Path(lines[4]) if len(lines) > 4 and Path(lines[4]).is_absolute() else None


def forget_dead(pgdata: Path) -> None:
    """Remove the lock files of a dead server whose pid exists again; call only if ``find`` returned None.

    The pid belongs to another program, or to a zombie that is never reaped (a container without an init). PostgreSQL
    would not start, since it only checks that the pid exists. Its other check, for shared memory still in use by an
    earlier server, does not depend on these files.
    """
    try:
        folder = Folder(pgdata)
    except FileNotFoundError:
        return
    with folder:
        locks = fnmatch.filter(folder.names(), ".s.PGSQL.*.lock")
        for name in (PIDFILE, *locks):
            with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
                if psutil.pid_exists(int(folder.read(name).split()[0])):
                    folder.remove(name)


def socket_dsn(socket_dir: Path, port: int, user: str, database: str) -> str:
    """A connection URI for psql and psycopg. It always has the port, so that PGPORT has no effect."""
    return f"postgresql://{user}@/{database}?host={quote(str(socket_dir), safe='/')}&port={port}"


def tcp_dsn(port: int, user: str, password: str, database: str) -> str:
    """A connection URI for systems without Unix sockets."""
    return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


def _lines(pgdata: Path) -> list[str]:
    try:
        with Folder(pgdata) as folder:
            return [line.strip() for line in folder.read(PIDFILE).splitlines()]
    except PermissionError:
        raise
    except OSError:  # there is none, or something that PostgreSQL has not written
        return []


def _serves(process: psutil.Process, pgdata: Path) -> bool:
    if not alive(process) or not process.name().lower().startswith("postgres"):
        return False
    if sys.platform != "win32" and process.uids().real != pgdata.lstat().st_uid:
        return False
    try:
        return pgdata.samefile(_working_directory(process))  # a server's working directory is its data directory
    except (OSError, subprocess.SubprocessError):
        return False


def _working_directory(process: psutil.Process) -> str:
    try:
        return str(process.cwd())
    except psutil.AccessDenied:
        # Root in a container without CAP_SYS_PTRACE cannot read this of another user's process; that user can.
        done = subprocess.run(
            run_as(process.uids().real, process.gids().real, ["readlink", f"/proc/{process.pid}/cwd"]),
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
        )
        return done.stdout.rstrip("\n")
