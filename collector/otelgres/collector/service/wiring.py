"""Creates the parts of a receiver from its settings: listeners, pipeline, queue and writers."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from otelgres.collector.database.maintenance import Maintenance, Retention
from otelgres.collector.database.notify import CommitNotifier
from otelgres.collector.database.probe import DatabaseProbe
from otelgres.collector.otlp.export import Pipeline, Processor
from otelgres.collector.otlp.grpc_listener import GrpcListener
from otelgres.collector.otlp.grpc_server import CallLimits, serve_grpc
from otelgres.collector.otlp.http_app import BodyLimits
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.collector.otlp.http_server import HttpServer, metrics_page, serve_http
from otelgres.collector.processors.redaction import RedactionProcessor, load_redaction
from otelgres.collector.processors.tenant import TenantProcessor
from otelgres.collector.queue.availability import Availability, SpoolingWriter
from otelgres.collector.queue.database_replayer import DatabaseReplayer
from otelgres.collector.queue.group_commit import GroupCommitQueue
from otelgres.collector.queue.readiness import Readiness
from otelgres.collector.queue.spool_folders import take_folder
from otelgres.collector.service.protection import protection
from otelgres.collector.service.settings import ReceiverSettings, SettingError, parse_address, spool_folder
from otelgres.collector.system.memory import return_large_blocks
from otelgres.collector.telemetry.metrics import EXPORTER, Metrics
from otelgres.collector.telemetry.publisher import Publisher
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.exporters.postgres.cardinality import CardinalityLimiter
from otelgres.exporters.postgres.codec.limits import Limits
from otelgres.exporters.postgres.writer import Committed, PostgresWriter
from otelgres.exporters.spool.queue import SpoolQueue


class Receiver:
    """Receives OTLP on two ports and writes to one database. Start and stop it in a running asyncio loop.

    ``maintenance_dsn`` is that of the schema's owner if ``dsn`` is only a writer's; None: ``dsn``.
    """

    def __init__(
        self, settings: ReceiverSettings, dsn: str, maintenance_dsn: str | None = None, *, reuse_port: bool = False
    ) -> None:
        self._settings = settings
        self._dsn = dsn
        # Before anything is opened, so that an invalid setting leaves nothing behind.
        self._protection = protection(settings)
        self._rejections = RejectionCounters()
        try:
            rules = load_redaction(settings.redact)
        except ValueError as error:
            raise SettingError(str(error)) from error
        self._processors: list[Processor] = [RedactionProcessor(rules, self._rejections)] if rules else []
        self._processors.append(TenantProcessor())
        self._reuse_port = reuse_port
        self._queue: GroupCommitQueue | None = None
        self._readiness: Readiness | None = None
        self._pipeline: Pipeline | None = None
        self._servers: tuple[GrpcListener, HttpServer] | None = None
        self._availability = Availability()
        folder = spool_folder(settings, dsn)
        try:
            self._spool_folder = take_folder(folder)
            self._spool = SpoolQueue(self._spool_folder.path, settings.max_spool_bytes)
        except OSError as error:
            raise SettingError(f"The spool folder {folder} cannot be used ({error}): set spool to another.") from error
        self.metrics = Metrics(
            {
                ("otelcol_exporter_queue_size", EXPORTER): lambda: self._queue.queued_bytes if self._queue else 0,
                ("otelcol_exporter_queue_capacity", EXPORTER): lambda: settings.max_queue_bytes,
                ("otelgres_spool_bytes", ()): lambda: self._spool.bytes,
                ("otelgres_spool_quarantined_batches", ()): self._spool.quarantined,
                ("otelgres_spool_age_seconds", ()): self._spool.oldest_age,
                ("otelgres_database_up", ()): lambda: self._availability.available,
            }
        )
        # Shared by all writers: the limits are for the process.
        self._cardinality = CardinalityLimiter(series=settings.limit_new_series, resources=settings.limit_new_resources)
        self._replayer = DatabaseReplayer(self._store, self._spool, self._availability)
        self._notifier = CommitNotifier(dsn)
        self._tasks: list[asyncio.Task[None]] = []
        self._maintenance = Maintenance(_retention(settings), maintenance_dsn or dsn, dsn, self._database_known)
        self.schema_known = self._maintenance.schema_known
        self._publisher = Publisher(dsn, self.metrics, self._spool_folder.path, self._rejections)
        self.grpc = ""
        self.http = ""

    async def start(self) -> None:
        """Opens the listeners. Batches are spooled until the database is available.

        Raises CannotListen or SettingError.
        """
        return_large_blocks()
        settings = self._settings
        grpc_host, grpc_port = parse_address(settings.grpc, "grpc")
        http_host, http_port = parse_address(settings.http, "http")
        self._queue = GroupCommitQueue(self._writer, writers=settings.writers, max_queue_bytes=settings.max_queue_bytes)
        self._readiness = Readiness(
            self._queue, self._spool, self._availability, DatabaseProbe(self._dsn), self.schema_known.is_set
        )
        self._pipeline = Pipeline(
            self._queue,
            self.metrics,
            self._rejections,
            authenticator=self._protection.authenticator,
            processors=self._processors,
            max_bytes=settings.max_request_bytes,
            bounds=_limits(settings).outline,
        )
        certificates = self._protection.certificates
        grpc_server = await serve_grpc(
            self._pipeline,
            grpc_host,
            grpc_port,
            max_connections=settings.max_connections,
            limits=CallLimits(
                receiving=settings.max_concurrent_requests,
                streams=settings.max_concurrent_streams,
                receive_seconds=settings.receive_seconds,
            ),
            reuse_port=self._reuse_port,
            credentials=certificates.grpc_credentials if certificates else None,
        )
        try:
            http_server = await serve_http(
                self._pipeline,
                http_host,
                http_port,
                ready=partial(_ready, self._readiness, grpc_server),
                reuse_port=self._reuse_port,
                pages={"/metrics": metrics_page(self._publisher.exposition)},
                cors_origins=[origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()],
                body_limits=BodyLimits(
                    held_bytes=settings.max_queue_bytes,
                    seconds=settings.receive_seconds,
                ),
                connection_limits=ConnectionLimits(connections=settings.max_connections),
                tls=certificates.http_context() if certificates else None,
            )
        except OSError:
            await grpc_server.stop(0)
            raise
        self._servers = grpc_server, http_server
        self.grpc = _address(grpc_host, grpc_server.port)
        self.http = f"{'https' if certificates else 'http'}://{_address(http_host, http_server.port)}"
        self._notifier.start()
        self._tasks.append(asyncio.create_task(self._maintenance.run(), name="maintenance"))
        self._tasks.append(asyncio.create_task(self._publisher.run(self._maintenance.schema_known), name="publisher"))

    @property
    def failed(self) -> asyncio.Event:
        """Set when gRPC cannot be served any more; known once started."""
        assert self._servers is not None
        return self._servers[0].failed

    @property
    def refused(self) -> asyncio.Event:
        """Set when the database's login must not be used; ``refusal`` says why, and nothing has been stored."""
        return self._maintenance.refused

    @property
    def refusal(self) -> str:
        """What to do about the login."""
        return self._maintenance.refusal

    async def stop(self) -> None:
        """Closes the listeners and stores the queue, within ``shutdown_seconds``; the rest was not acknowledged."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        seconds = self._settings.shutdown_seconds
        closing: list[Any] = []
        if self._queue is not None:
            closing.append(self._queue.close(seconds))
        if self._servers is not None:
            closing += [server.stop(seconds) for server in self._servers]
        await asyncio.gather(*closing)
        if self._pipeline is not None:
            self._pipeline.close()
        if self._readiness is not None:
            self._readiness.close()
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
            limits=_limits(settings),
            guard=self._cardinality,
            on_commit=self._committed,
            on_failure=self.metrics.send_failed,
        )

    def _committed(self, committed: Committed) -> None:
        self.metrics.committed(committed)
        self._notifier.committed()

    def _database_known(self) -> None:
        self._availability.mark_available()
        self._replayer.start()


def _limits(settings: ReceiverSettings) -> Limits:
    return Limits(
        items=settings.limit_items,
        groups=settings.limit_groups,
        parts=settings.limit_parts,
        attributes=settings.limit_attributes,
        events=settings.limit_events,
        key_bytes=settings.limit_key_bytes,
        value_bytes=settings.limit_value_bytes,
        text_bytes=settings.limit_text_bytes,
        nesting=settings.limit_nesting,
    )


async def _ready(readiness: Readiness, grpc_server: GrpcListener) -> tuple[bool, Mapping[str, Any]]:
    ready, detail = await readiness.check()
    grpc = "serving" if grpc_server.serving else "not serving"
    return ready and grpc_server.serving, {**detail, "grpc": grpc}


def _retention(settings: ReceiverSettings) -> Retention:
    return Retention(
        past_days=settings.past_days,
        future_days=settings.future_days,
        signals=settings.retention_days,
        rollups=settings.rollup_retention_days,
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
