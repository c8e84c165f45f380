"""Publishes the receiver's metrics: in PostgreSQL, in a file, and as ``/metrics``.

Receivers of one database on one machine write their metrics to files in their spool folders, so that the ``/metrics``
of each contains all of them.
"""

import asyncio
import hashlib
import os
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import psycopg

from otelgres.collector.telemetry.metrics import Metrics, Numbers, prometheus
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.sql.queries import query

_FILE: Final = "metrics.json"
_FILE_SECONDS: Final = 2.0
_FRESH_SECONDS: Final = 30.0
_FILES_PER_ROW: Final = 5  # writes of the file for each write to the database


class Publisher:
    """The publisher of one receiver. ``folder`` is its spool folder; ``rejections`` are written to otel.losses."""

    def __init__(self, dsn: str, metrics: Metrics, folder: Path, rejections: RejectionCounters) -> None:
        self._dsn = dsn
        self._metrics = metrics
        self._folder = folder
        self._rejections = rejections
        self._receiver: dict[str, Any] = {
            "id": uuid4(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("otelgres"),
            "started_at": datetime.now(UTC),
        }

    async def run(self, schema_known: asyncio.Event) -> None:
        """Publishes until cancelled. Errors of the database or the disk are ignored."""
        written = _FILES_PER_ROW
        while True:
            with suppress(OSError):
                await asyncio.to_thread(self._write_file)
            if schema_known.is_set() and written >= _FILES_PER_ROW:
                written = 0
                with suppress(psycopg.Error):
                    await asyncio.to_thread(self._write_row)
            written += 1
            if schema_known.is_set():
                await asyncio.sleep(_FILE_SECONDS)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(schema_known.wait(), _FILE_SECONDS)

    async def exposition(self) -> bytes:
        """The text of ``/metrics`` for all receivers that share this one's spool folder."""
        found = await asyncio.to_thread(published_beside, self._folder.parent)
        found[self._folder.name] = self._metrics.numbers()
        return prometheus(found)

    def _write_file(self) -> None:
        numbers = [[name, labels, value] for (name, labels), value in self._metrics.numbers().items()]
        temporary = self._folder / f"{_FILE}.new"
        temporary.write_bytes(orjson.dumps({"at": time.time(), "numbers": numbers}))
        temporary.replace(self._folder / _FILE)

    def _write_row(self) -> None:
        numbers = [[name, dict(labels), value] for (name, labels), value in self._metrics.numbers().items()]
        with psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection:
            connection.execute(query("publish_receiver"), {**self._receiver, "numbers": orjson.dumps(numbers).decode()})
            self._write_losses(connection)

    def _write_losses(self, connection: psycopg.Connection[Any]) -> None:
        taken = self._rejections.take()
        if not taken:
            return
        try:
            tenants = sorted({kind.tenant for kind, _, _ in taken if kind.tenant})
            hashes = [UUID(bytes=hashlib.sha256(name.encode()).digest()[:16]) for name in tenants]
            connection.execute(query("tenant_ids"), {"hash": hashes, "name": tenants})
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
                    "tenant_id": [0 for _ in taken],
                    "tenant": [kind.tenant for kind, _, _ in taken],
                },
            )
        except psycopg.Error:
            self._rejections.give_back(taken)
            raise


def published_beside(parent: Path) -> dict[str, Numbers]:
    """The recently published metrics of receivers with spool folders in ``parent``, by folder name."""
    found: dict[str, Numbers] = {}
    for path in sorted(parent.glob(f"*/{_FILE}")):
        try:
            content: dict[str, Any] = orjson.loads(path.read_bytes())
            if time.time() - content["at"] <= _FRESH_SECONDS:
                found[path.parent.name] = {
                    (name, tuple((key, text) for key, text in labels)): float(value)
                    for name, labels, value in content["numbers"]
                }
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
