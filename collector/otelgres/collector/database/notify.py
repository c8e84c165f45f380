"""Notifies listeners (``LISTEN otelgres``) of commits.

It uses its own connection after the commit: NOTIFY inside the writers' transactions would take a lock that makes
commits wait for each other. A lost notification only delays a listener, because listeners also poll.
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
    """A thread that sends notifications; commits in quick succession share one. ``committed`` is thread-safe."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None
        self._due = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Starts the thread; earlier commits are notified too."""
        self._thread.start()

    def committed(self) -> None:
        """Requests a notification; returns at once."""
        self._due.set()

    def stop(self) -> None:
        """Sends a pending notification and ends the thread."""
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
                self._send()
            except psycopg.Error as error:
                log.debug("cannot notify listeners: %s", error)
                self._due.set()
                pause = _RETRY_SECONDS
            if stopped:
                self._close()
                return
            self._stopped.wait(pause)

    def _send(self) -> None:
        if self._connection is not None:
            try:
                self._notify(self._connection)
            except psycopg.OperationalError:
                # The server may have restarted: try a new connection.
                self._close()
            else:
                return
        self._connection = psycopg.connect(
            self._dsn, autocommit=True, connect_timeout=2, application_name="otelgres notifier"
        )
        self._notify(self._connection)

    @staticmethod
    def _notify(connection: psycopg.Connection[Any]) -> None:
        # Writes no row, so the commit does not wait for the disk.
        connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
