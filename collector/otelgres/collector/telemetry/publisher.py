"""Tells the receiver's numbers: to PostgreSQL, to the receivers beside it, and to whoever asks for ``/metrics``.

Refuses to know what the numbers mean.
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson
import psycopg

from otelgres.collector.otlp.http_app import Page
from otelgres.collector.telemetry.metrics import ReceiverMetrics, peer_metrics, prometheus
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.sql.queries import query

# Asked to come back: a sender that does loses nothing.
_RETRYABLE: Final = "too_many_failures"
_WRITE_SECONDS: Final = 2.0
_PUBLISH_EVERY: Final = 5  # times left beside the spool for each time told to the database


class MetricsPublisher:
    """One receiver's voice. ``folder`` is its spool folder."""

    def __init__(
        self,
        dsn: str,
        metrics: ReceiverMetrics,
        folder: Path,
        rejections: RejectionCounters,
        rejected: Callable[[], Mapping[str, int]],
    ) -> None:
        """``rejections`` has what to enter in the ledger of losses, ``rejected`` what authentication has refused."""
        self._rejections = rejections
        self._rejected = rejected
        self._reported: Counter[str] = Counter()
        self._dsn = dsn
        self._metrics = metrics
        self._folder = folder
        self._who: dict[str, Any] = {
            "id": uuid4(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("otelgres"),
            "started_at": datetime.now(UTC),
        }

    async def run(self, schema_known: asyncio.Event) -> None:
        """Tells again and again until cancelled. A database or disk that is away is no reason to stop."""
        unpublished = _PUBLISH_EVERY
        while True:
            with suppress(OSError):
                await asyncio.to_thread(self._metrics.write_file, self._folder)
            if schema_known.is_set() and unpublished >= _PUBLISH_EVERY:
                unpublished = 0
                with suppress(psycopg.Error):
                    await asyncio.to_thread(self._publish)
            unpublished += 1
            if schema_known.is_set():
                await asyncio.sleep(_WRITE_SECONDS)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(schema_known.wait(), _WRITE_SECONDS)

    async def page(self) -> Page:
        """``/metrics`` for all receivers that share this one's spool folder."""
        found = await asyncio.to_thread(peer_metrics, self._folder.parent)
        found[self._folder.name] = self._metrics.numbers()
        return Page(200, "text/plain; version=0.0.4; charset=utf-8", prometheus(found).encode())

    def _publish(self) -> None:
        numbers = [[name, dict(labels), value] for (name, labels), value in self._metrics.numbers().items()]
        with psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection:
            connection.execute(query("publish_receiver"), {**self._who, "numbers": orjson.dumps(numbers).decode()})
            self._enter_losses(connection)

    def _enter_losses(self, connection: psycopg.Connection[Any]) -> None:
        for reason, count in self._rejected().items():
            if reason != _RETRYABLE and count > self._reported[reason]:
                self._rejections.add("door", "any", reason, count=count - self._reported[reason])
            self._reported[reason] = count
        taken = self._rejections.take()
        if not taken:
            return
        try:
            connection.execute(
                query("add_losses"),
                {
                    "count": [count for _, count, _ in taken],
                    "effect": [kind.effect for kind, _, _ in taken],
                    "source": [kind.source for kind, _, _ in taken],
                    "signal": [kind.signal for kind, _, _ in taken],
                    "reason": [kind.reason for kind, _, _ in taken],
                    "detail": [None for _ in taken],
                    "sample": [sample or None for _, _, sample in taken],
                },
            )
        except psycopg.Error:
            self._rejections.give_back(taken)
            raise
