"""Restarts the embedded server when it ends unexpectedly."""

import logging
import threading
from types import TracebackType
from typing import Final, Self

from otelgres.collector.embedded.cluster import Cluster
from otelgres.collector.embedded.errors import EmbeddedPostgresError

log = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 1.0


class Supervisor:
    """Watches a started cluster from a thread; a context manager, to be nested inside that of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A cluster is not thread-safe: the caller may stop it only after this thread has ended.
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_CHECK_SECONDS):
            if self._cluster.running:
                continue
            log.warning("PostgreSQL has ended; restarting it")
            try:
                self._cluster.stop()
                self._cluster.start()
            except EmbeddedPostgresError as error:
                log.warning("PostgreSQL could not be started: %s; retrying", error)
