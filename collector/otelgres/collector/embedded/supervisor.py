"""Starts the embedded server again when it ends without being told to. Refuses to know why it ended."""

import logging
import threading
from types import TracebackType
from typing import Final, Self

from otelgres.collector.embedded.cluster import Cluster
from otelgres.collector.embedded.errors import EmbeddedPostgresError

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0


class Supervisor:
    """Watches one started cluster from a thread; a context manager, inside that of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The cluster is not for two threads at a time: whoever stops it must wait until this one is done with it.
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            if self._cluster.running:
                continue
            log.warning("PostgreSQL has ended; starting it again")
            try:
                self._cluster.stop()
                self._cluster.start()
            except EmbeddedPostgresError as error:
                log.warning("PostgreSQL could not be started: %s; trying again", error)
