"""The embedded PostgreSQL: one data folder, one server, one owner process.

The folder holds ``postgres`` (the data directory, owned by the server's user), the owner's lock and the server's start
output. It stores no absolute path, so it can be moved while the server is stopped.
"""

import logging
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from otelgres.collector.embedded import binaries, initdb, logins, postmaster, server, sockets, tuning
from otelgres.collector.embedded.errors import EmbeddedPostgresError
from otelgres.collector.embedded.logins import DATABASE, Login
from otelgres.collector.embedded.os_user import ServerUser, server_user
from otelgres.collector.embedded.postmaster import Postmaster
from otelgres.collector.system.data_folder import FOR_ROOT
from otelgres.collector.system.folder import Folder, make_folder
from otelgres.collector.system.folder_lock import FolderLock, InUse

_logger = logging.getLogger(__name__)


def running_dsn(data: Path, login: Login = Login.READER) -> str | None:
    """The login's DSN of the server running on the data folder ``data``, whoever started it; None if none is running.

    Raises PermissionError if the folder cannot be read.
    """
    folder = data.absolute()
    found = postmaster.find(folder / "postgres")
    return _dsn(folder, found, login) if found is not None and found.ready else None


def _dsn(data: Path, found: Postmaster, login: Login, database: str = DATABASE) -> str:
    if found.socket_dir is None:
        word = logins.password(login, data)
        return postmaster.tcp_dsn(found.port, login.user, word, database)
    return postmaster.socket_dsn(found.socket_dir.absolute(), found.port, login.user, database)


def _holds_data(pgdata: Path) -> bool:
    try:
        with Folder(pgdata) as folder:
            return folder.kind("PG_VERSION") is not None
    except FileNotFoundError:
        return False


class Cluster:
    """A PostgreSQL server on one data folder; a context manager that starts and stops it.

    ``version`` is the major version for new data, "18" or "16"; existing data keeps its version. ``more`` are settings
    that override ours (setting to value, spelled as in postgresql.conf). ``copies`` is where root puts a copy of the
    programs if the server's user cannot access the originals. Not thread-safe.
    """

    def __init__(
        self,
        data: Path,
        *,
        version: str | None = None,
        more: Mapping[str, str] | None = None,
        copies: Path = FOR_ROOT,
    ) -> None:
        self.data = data.absolute()
        self.pgdata = self.data / "postgres"
        self._new_version = version or binaries.DEFAULT_VERSION
        self._more = dict(more or {})
        self._copies = copies
        self._ownership = FolderLock(self.data / "owner.lock")
        self._server: Postmaster | None = None
        self._programs = Path()

    @property
    def version(self) -> str:
        """The major version of the existing data, or of the data to be created."""
        try:
            with Folder(self.pgdata) as folder:
                return folder.read("PG_VERSION").strip()
        except FileNotFoundError:
            return self._new_version

    @property
    def running(self) -> bool:
        """Whether the server that we started is alive."""
        return self._server is not None and postmaster.alive(self._server.process)

    @property
    def pid(self) -> int:
        """The server's process id. Raises EmbeddedPostgresError before ``start`` and after ``stop``."""
        return self._started().process.pid

    def dsn(self, login: Login, database: str = DATABASE) -> str:
        """A connection URI for psql and psycopg. Raises EmbeddedPostgresError before ``start`` and after ``stop``."""
        return _dsn(self.data, self._started(), login, database)

    def start(self, timeout: float = 30) -> None:
        """Create the data directory if needed, start the server, and return when it accepts connections.

        A server left over from a killed owner is stopped first, so that the new one has the current settings and is our
        child process. ``timeout`` is in seconds without a sign of progress. Raises EmbeddedPostgresError with advice;
        then nothing is left running.
        """
        if self._ownership.held:
            raise EmbeddedPostgresError(f"The server on {self.data} was already started by this process.")
        try:
            self._start(timeout)
        except BaseException as error:
            self.stop(timeout)
            if isinstance(error, InUse):
                raise EmbeddedPostgresError(
                    f"{error}: stop that process first (Ctrl-C, or kill {error.owner}), connect to the server it runs "
                    "(otelgres dsn), or use another folder (--data DIR)."
                ) from None
            if isinstance(error, OSError):
                raise EmbeddedPostgresError(
                    f"Cannot store PostgreSQL data in {self.data} ({error}): use a folder you can write to (--data)."
                ) from error
            raise

    def stop(self, timeout: float = 30) -> None:
        """Stop the server, gracefully for at most ``timeout`` seconds. Does nothing if no server was started."""
        if not self._ownership.held:
            return
        if self._server is not None:
            server.stop(self._server.process, self._programs, self.pgdata, timeout)
            if self._server.socket_dir is not None:
                sockets.remove(self._server.socket_dir, server_user(self.pgdata))
            self._server = None
        self._ownership.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _started(self) -> Postmaster:
        if self._server is None:
            raise EmbeddedPostgresError(f"The server on {self.data} is not started.")
        return self._server

    def _start(self, timeout: float) -> None:
        user = server_user(self.pgdata)
        self._make_folder(user)
        self._ownership.acquire()
        version = self.version
        self._programs = binaries.reachable(binaries.packaged(version), user, self._copies)
        self._end_leftover(user, timeout)
        if not _holds_data(self.pgdata):
            self._password(Login.SUPERUSER)
            word = Login.SUPERUSER.password_file(self.data) if sys.platform == "win32" else None
            initdb.create(self.pgdata, self._programs, version, user, word)
        directory = self._configure(version, user)
        try:
            self._server = server.launch(self._programs, self.pgdata, user, self.data / "postgres-start.log", timeout)
        except BaseException:
            sockets.remove(directory, user)
            raise
        self._set_up_logins()

    def _make_folder(self, user: ServerUser) -> None:
        # Others may enter root's folder (to reach the copy of the programs) but not list it.
        make_folder(self.data, 0o711 if user.switch else 0o700)

    def _end_leftover(self, user: ServerUser, timeout: float) -> None:
        directory = postmaster.socket_dir_left(self.pgdata)
        left = postmaster.find(self.pgdata)
        if left is not None:
            _logger.info("Stopping the server (pid %d) left by an earlier owner of %s", left.process.pid, self.data)
            server.stop(left.process, self._programs, self.pgdata, timeout)
        postmaster.forget_dead(self.pgdata)
        if directory is not None:
            sockets.remove(directory, user)

    def _configure(self, version: str, user: ServerUser) -> Path:
        """Write the settings file; returns the directory of the socket."""
        if sys.platform == "win32":
            directory = self.pgdata
            with socket.socket() as free:  # if the port is taken in between, the start fails and can be repeated
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            listen = {"listen_addresses": "'127.0.0.1'", "port": str(port), "unix_socket_directories": "''"}
        else:
            directory = sockets.choose(self.pgdata, user)
            # "." is the data directory: it stays valid when the folder moves, and the server's user can access it.
            name = "." if directory == self.pgdata else str(directory)
            listen = {
                "listen_addresses": "''",
                "port": "5432",
                "unix_socket_directories": f"'{name}'",
                "unix_socket_permissions": "0700",
            }
        text = tuning.render(tuning.usable_memory(), version, {**listen, **self._more})
        with Folder(self.pgdata) as folder:
            folder.write(tuning.OURS, text, 0o644)
        return directory

    def _password(self, login: Login) -> str | None:
        # Any local user can connect to a TCP port. On Windows the data folder's access list protects these files.
        return logins.password(login, self.data) if sys.platform == "win32" else None

    def _set_up_logins(self) -> None:
        try:
            logins.set_up(self.dsn, self._password)
        except psycopg.Error as error:
            raise EmbeddedPostgresError(
                f"The server on {self.data} started, but its database and logins cannot be created ({error}): "
                f"see {self.pgdata / tuning.LOGS}."
            ) from error
