"""The wiring of one receiver: settings in, doors open, everything between connected. Chooses classes, does no work.

Refuses to know the command line and where the database comes from.
"""

import asyncio
from typing import Any, Final

from otelgres.collector.database.maintenance import Maintenance
from otelgres.collector.database.notify import CommitNotifier
from otelgres.collector.otlp.grpc_server import CallLimits, GrpcServer, serve_grpc
from otelgres.collector.otlp.http_app import BodyLimits
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.collector.otlp.http_server import HttpServer, serve_http
from otelgres.collector.processors.redaction import Redactor, load_redaction
from otelgres.collector.processors.tenant import with_tenant
from otelgres.collector.queue.availability import Availability, SpoolingWriter
from otelgres.collector.queue.database_replayer import DatabaseReplayer
from otelgres.collector.queue.group_commit import GroupCommitQueue
from otelgres.collector.queue.spool_folders import take_folder
from otelgres.collector.security.principal import current_principal
from otelgres.collector.service.protection import protection
from otelgres.collector.service.settings import ReceiverSettings, SettingError, parse_address, spool_folder
from otelgres.collector.telemetry.metrics import ReceiverMetrics
from otelgres.collector.telemetry.publisher import MetricsPublisher
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.collector.telemetry.totals import TotalsCounter
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Invalid, Outcome, Unavailable
from otelgres.exporters.postgres.cardinality import CardinalityLimiter
from otelgres.exporters.postgres.codec.limits import Limits
from otelgres.exporters.postgres.writer import Committed, PostgresWriter
from otelgres.exporters.spool.queue import SpoolQueue

_START_SECONDS: Final = 1.0


class Receiver:
    """OTLP in on two ports, rows out to one database. Start it inside a running asyncio loop, and stop it there."""

    def __init__(self, settings: ReceiverSettings, dsn: str, *, reuse_port: bool = False) -> None:
        self._settings = settings
        self._dsn = dsn
        # Before anything is opened: what is refused leaves nothing behind.
        self._protection = protection(settings)
        self.auth_failures = self._protection.auth_failures
        rules = load_redaction(settings.redact)
        self._redactor = Redactor(rules) if rules else None
        self._redacting = asyncio.Lock()
        self._reuse_port = reuse_port
        self._queue: GroupCommitQueue | None = None
        self._listeners: tuple[GrpcServer, HttpServer] | None = None
        self._availability = Availability()
        folder = spool_folder(settings, dsn)
        try:
            self._spool_folder = take_folder(folder)
            self._spool = SpoolQueue(self._spool_folder.path, settings.max_spool_bytes)
        except OSError as error:
            raise SettingError(f"The spool folder {folder} cannot be used ({error}): set OTELGRES_SPOOL.") from error
        # One for all writers: the limits are the process's.
        self._cardinality = CardinalityLimiter(series=settings.limit_new_series, resources=settings.limit_new_resources)
        self._replayer = DatabaseReplayer(self._store, self._spool, self._availability)
        self._notifier = CommitNotifier(dsn)
        self._tasks: list[asyncio.Task[None]] = []
        self._maintenance = Maintenance(settings, dsn, self._database_known)
        self.schema_known = self._maintenance.schema_known
        self.tally = TotalsCounter()
        self.metrics = ReceiverMetrics(
            {
                "otelgres_queue_bytes": lambda: float(self._queue.queued_bytes if self._queue else 0),
                "otelgres_spool_bytes": lambda: float(self._spool.bytes),
                "otelgres_spool_quarantined": lambda: float(self._spool.quarantined()),
                "otelgres_spool_age_seconds": self._spool.oldest_age,
                "otelgres_database_up": lambda: float(self._availability.available),
            },
            self.auth_failures.counts,
        )
        self._rejections = RejectionCounters()
        self._publisher = MetricsPublisher(
            dsn, self.metrics, self._spool_folder.path, self._rejections, self.auth_failures.counts
        )
        self.grpc = ""
        self.http = ""

    async def start(self) -> None:
        """Opens the listeners. Until the database is there, what arrives is kept in the spool.

        Raises CannotListen or SettingError.
        """
        settings = self._settings
        grpc_host, grpc_port = parse_address(settings.grpc, "grpc")
        http_host, http_port = parse_address(settings.http, "http")
        self._queue = GroupCommitQueue(self._writer, writers=settings.writers, max_queue_bytes=settings.max_queue_bytes)
        certificates = self._protection.certificates
        grpc_server = await serve_grpc(
            self._submit,
            grpc_host,
            grpc_port,
            max_bytes=settings.max_request_bytes,
            max_connections=settings.max_connections,
            limits=CallLimits(
                receiving=settings.max_concurrent_requests,
                streams=settings.max_concurrent_streams,
                receive_seconds=settings.receive_seconds,
            ),
            reuse_port=self._reuse_port,
            credentials=certificates.grpc_credentials() if certificates else None,
            authenticator=self._protection.authenticator,
            rejections=self._rejections,
        )
        try:
            http_server = await serve_http(
                self._submit,
                http_host,
                http_port,
                ready=self._maintenance.ready,
                reuse_port=self._reuse_port,
                pages={"/metrics": self._publisher.page},
                cors_origins=[origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()],
                body_limits=BodyLimits(
                    request_bytes=settings.max_request_bytes,
                    held_bytes=settings.max_queue_bytes,
                    seconds=settings.receive_seconds,
                ),
                connection_limits=ConnectionLimits(connections=settings.max_connections),
                tls=certificates.http_context() if certificates else None,
                authenticator=self._protection.authenticator,
                rejections=self._rejections,
            )
        except OSError:
            await grpc_server.stop(0)
            raise
        self._listeners = grpc_server, http_server
        self.grpc = _address(grpc_host, grpc_server.port)
        self.http = f"{'https' if certificates else 'http'}://{_address(http_host, http_server.port)}"
        self._notifier.start()
        self._tasks.append(asyncio.create_task(self._maintenance.run(), name="maintenance"))
        self._tasks.append(asyncio.create_task(self._publisher.run(self._maintenance.schema_known), name="metrics"))

    async def stop(self) -> None:
        """Closes the listeners and lets what is inside be stored, within ``shutdown_seconds``. What is not was not acked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        seconds = self._settings.shutdown_seconds
        closing: list[Any] = []
        if self._queue is not None:
            closing.append(self._queue.close(seconds))
        if self._listeners is not None:
            closing += [door.stop(seconds) for door in self._listeners]
        await asyncio.gather(*closing)
        await asyncio.to_thread(self._replayer.stop, seconds)
        await asyncio.to_thread(self._notifier.stop)
        self._spool.close()
        self._spool_folder.release()

    def _writer(self) -> SpoolingWriter:
        return SpoolingWriter(self._store(), self._spool, self._availability)

    def _store(self) -> PostgresWriter:
        settings = self._settings
        return PostgresWriter(
            self._dsn,
            past_days=settings.past_days,
            future_days=settings.future_days,
            limits=Limits(
                items=settings.limit_items,
                attributes=settings.limit_attributes,
                events=settings.limit_events,
                key_bytes=settings.limit_key_bytes,
                value_bytes=settings.limit_value_bytes,
                text_bytes=settings.limit_text_bytes,
                nesting=settings.limit_nesting,
            ),
            guard=self._cardinality,
            observe=self._committed,
        )

    def _committed(self, committed: Committed) -> None:
        self.tally.add(committed)
        self.metrics.committed(committed)
        self._notifier.committed()

    async def _submit(self, batch: Batch) -> Outcome:
        if self._queue is None:
            return Unavailable(_START_SECONDS, "the receiver is starting; send it again")
        if self._redactor is not None:
            batch = await self._redacted(self._redactor, batch)
        principal = current_principal()
        if principal is None or principal.tenant is None:
            outcome = await self._queue.submit(batch)
        else:
            marked = with_tenant(batch, principal.tenant)
            if isinstance(marked, Invalid):
                self._rejections.add("tenancy", batch.signal, "tenant", marked.message)
                outcome = marked
            else:
                outcome = await self._queue.submit(marked)
        self.metrics.count_request(batch.signal, outcome)
        return outcome

    async def _redacted(self, redactor: Redactor, batch: Batch) -> Batch:
        async with self._redacting:  # in a thread, so that a large request does not hold up the others
            batch, count = await asyncio.to_thread(redactor.redacted, batch)
        if count:
            self._rejections.add("redaction", batch.signal, "redacted", count=count, effect="repaired")
        return batch

    def _database_known(self) -> None:
        self._availability.mark_available()
        self._replayer.start()


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
