"""The wiring of one receiver: settings in, doors open, everything between connected. Chooses classes, does no work.

Refuses to know the command line and where the database comes from.
"""

import asyncio
from typing import Any, Final

from otelgres.collector.database.maintenance import Retention, Upkeep
from otelgres.collector.database.notify import Announcer
from otelgres.collector.otlp.grpc_server import CallLimits, GrpcServer, serve_grpc
from otelgres.collector.otlp.http_app import BodyLimits
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.collector.otlp.http_server import HttpServer, serve_http
from otelgres.collector.processors.redaction import Redactor, redaction_of
from otelgres.collector.processors.tenant import marked
from otelgres.collector.queue.availability import Availability, Drainer, SpoolingWriter
from otelgres.collector.queue.group_commit import Intake
from otelgres.collector.queue.spool_folder import take_slot
from otelgres.collector.queue.sqlite_spool import Spool
from otelgres.collector.security.principal import current_principal
from otelgres.collector.service.protection import protection
from otelgres.collector.service.settings import SettingError, Settings, host_port, spool_folder
from otelgres.collector.telemetry.metrics import Vitals
from otelgres.collector.telemetry.publisher import Teller
from otelgres.collector.telemetry.rejections import DoorLedger
from otelgres.collector.telemetry.totals import Tally
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Invalid, Outcome, Unavailable
from otelgres.exporters.postgres.cardinality import CardinalityGuard
from otelgres.exporters.postgres.codec.limits import Limits
from otelgres.exporters.postgres.writer import Committed, PostgresWriter

_START_SECONDS: Final = 1.0


class Receiver:
    """OTLP in on two ports, rows out to one database. Start it inside a running asyncio loop, and stop it there."""

    def __init__(self, settings: Settings, dsn: str, *, reuse_port: bool = False) -> None:
        self._settings = settings
        self._dsn = dsn
        # Before anything is opened: what is refused leaves nothing behind.
        self._protection = protection(settings)
        self.refusals = self._protection.refusals
        try:
            rules = redaction_of(settings.redact)
        except ValueError as error:
            raise SettingError(str(error)) from error
        self._redactor = Redactor(rules) if rules else None
        self._redacting = asyncio.Lock()
        self._reuse_port = reuse_port
        self._intake: Intake | None = None
        self._doors: tuple[GrpcServer, HttpServer] | None = None
        self._availability = Availability()
        folder = spool_folder(settings, dsn)
        try:
            self._spool_slot = take_slot(folder)
            self._spool = Spool(self._spool_slot.folder, settings.max_spool_bytes)
        except OSError as error:
            raise SettingError(f"The spool folder {folder} cannot be used ({error}): set OTELGRES_SPOOL.") from error
        # One for all writers: the limits are the process's.
        self._cardinality = CardinalityGuard(series=settings.limit_new_series, resources=settings.limit_new_resources)
        self._drainer = Drainer(self._store, self._spool, self._availability)
        self._announcer = Announcer(dsn)
        self._tasks: list[asyncio.Task[None]] = []
        self._upkeep = Upkeep(_retention(settings), dsn, self._database_known)
        self.schema_known = self._upkeep.schema_known
        self.tally = Tally()
        self.vitals = Vitals(
            {
                "otelgres_waiting_bytes": lambda: float(self._intake.waiting_bytes if self._intake else 0),
                "otelgres_spool_bytes": lambda: float(self._spool.bytes),
                "otelgres_spool_set_aside": lambda: float(self._spool.aside()),
                "otelgres_spool_age_seconds": self._spool.oldest_age,
                "otelgres_database_up": lambda: float(self._availability.here),
            },
            self.refusals.counts,
        )
        self._door_ledger = DoorLedger()
        self._teller = Teller(dsn, self.vitals, self._spool_slot.folder, self._door_ledger, self.refusals.counts)
        self.grpc = ""
        self.http = ""

    async def start(self) -> None:
        """Opens the doors. Until the database is there, what arrives is kept in the spool.

        Raises CannotListen or SettingError.
        """
        settings = self._settings
        grpc_host, grpc_port = host_port(settings.grpc, "grpc")
        http_host, http_port = host_port(settings.http, "http")
        self._intake = Intake(self._writer, writers=settings.writers, max_waiting_bytes=settings.max_waiting_bytes)
        certificates = self._protection.certificates
        grpc_server = await serve_grpc(
            self._submit,
            grpc_host,
            grpc_port,
            max_bytes=settings.max_request_bytes,
            max_connections=settings.max_connections,
            limits=CallLimits(
                receiving=settings.max_receiving,
                streams=settings.max_streams,
                receive_seconds=settings.receive_seconds,
            ),
            reuse_port=self._reuse_port,
            credentials=certificates.grpc_credentials() if certificates else None,
            guard=self._protection.guard,
            ledger=self._door_ledger,
        )
        try:
            http_server = await serve_http(
                self._submit,
                http_host,
                http_port,
                ready=self._upkeep.ready,
                reuse_port=self._reuse_port,
                pages={"/metrics": self._teller.page},
                cors_origins=[origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()],
                body_limits=BodyLimits(
                    request_bytes=settings.max_request_bytes,
                    held_bytes=settings.max_waiting_bytes,
                    seconds=settings.receive_seconds,
                ),
                connection_limits=ConnectionLimits(connections=settings.max_connections),
                tls=certificates.http_context() if certificates else None,
                guard=self._protection.guard,
                ledger=self._door_ledger,
            )
        except OSError:
            await grpc_server.stop(0)
            raise
        self._doors = grpc_server, http_server
        self.grpc = _address(grpc_host, grpc_server.port)
        self.http = f"{'https' if certificates else 'http'}://{_address(http_host, http_server.port)}"
        self._announcer.start()
        self._tasks.append(asyncio.create_task(self._upkeep.run(), name="upkeep"))
        self._tasks.append(asyncio.create_task(self._teller.run(self._upkeep.schema_known), name="vitals"))

    async def stop(self) -> None:
        """Closes the doors and lets what is inside be stored, within ``stop_seconds``. What is not was not acked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        seconds = self._settings.stop_seconds
        closing: list[Any] = []
        if self._intake is not None:
            closing.append(self._intake.close(seconds))
        if self._doors is not None:
            closing += [door.stop(seconds) for door in self._doors]
        await asyncio.gather(*closing)
        await asyncio.to_thread(self._drainer.stop, seconds)
        await asyncio.to_thread(self._announcer.stop)
        self._spool.close()
        self._spool_slot.release()

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
        self.vitals.committed(committed)
        self._announcer.committed()

    async def _submit(self, batch: Batch) -> Outcome:
        if self._intake is None:
            return Unavailable(_START_SECONDS, "the receiver is starting; send it again")
        if self._redactor is not None:
            batch = await self._redacted(self._redactor, batch)
        principal = current_principal()
        if principal is None or principal.tenant is None:
            outcome = await self._intake.submit(batch)
        else:
            ours = marked(batch, principal.tenant)
            if isinstance(ours, Invalid):
                self._door_ledger.add("tenancy", batch.signal, "tenant", ours.message)
                outcome = ours
            else:
                outcome = await self._intake.submit(ours)
        self.vitals.answered(batch.signal, outcome)
        return outcome

    async def _redacted(self, redactor: Redactor, batch: Batch) -> Batch:
        async with self._redacting:  # in a thread, so that a large request does not hold up the others
            batch, count = await asyncio.to_thread(redactor.redacted, batch)
        if count:
            self._door_ledger.add("redaction", batch.signal, "redacted", count=count, effect="repaired")
        return batch

    def _database_known(self) -> None:
        self._availability.found()
        self._drainer.start()


def _retention(settings: Settings) -> Retention:
    return Retention(
        past_days=settings.past_days,
        future_days=settings.future_days,
        signals=settings.retention_days,
        rollups=settings.rollup_retention_days,
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
