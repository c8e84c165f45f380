"""Tells whoever listens in the database (``LISTEN otelgres``) that something was committed.

After the commit and on a connection of its own: NOTIFY inside of the writers' transactions would take a lock that makes
commits wait for each other. An announcement that is lost costs a listener time, never a row: it looks by itself now and
then. Refuses to know what was committed.
"""

import logging
import threading
from typing import Any, Final

import psycopg

log = logging.getLogger(__name__)

CHANNEL: Final = "otelgres"
_PAUSE_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 3.0


class CommitNotifier:
    """A thread that announces commits, some together if they come fast. ``committed`` may be called by any thread."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None
        self._due = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        """Begins; what was committed before is announced too."""
        self._thread.start()

    def committed(self) -> None:
        """Something was; returns at once."""
        self._due.set()

    def stop(self) -> None:
        """Announces what is left and ends."""
        self._stopped.set()
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while True:
            self._due.wait()
            stopped = self._stopped.is_set()
            self._due.clear()
            pause = _PAUSE_SECONDS
            try:
                self._announce()
            except psycopg.Error as error:
                log.debug("commits cannot be announced: %s", error)
                self._due.set()
                pause = _RETRY_SECONDS
            if stopped:
                self._close()
                return
            self._stopped.wait(pause)

    def _announce(self) -> None:
        if self._connection is not None:
            try:
                self._notify(self._connection)
            except psycopg.OperationalError:
                # The server was restarted since; a new connection may do.
                self._close()
            else:
                return
        self._connection = psycopg.connect(
            self._dsn, autocommit=True, connect_timeout=2, application_name="otelgres announcer"
        )
        self._notify(self._connection)

    @staticmethod
    def _notify(connection: psycopg.Connection[Any]) -> None:
        # Writes no row, so that nothing is waited for on disk.
        connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
