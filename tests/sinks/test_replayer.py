"""The replayer of the spool against a real PostgreSQL: a batch that always fails does not delay the others."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelgres.collector.queue.availability import Availability
from otelgres.collector.queue.database_replayer import DatabaseReplayer
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.exporters.spool.files import open_file, spool_files
from otelgres.exporters.spool.queue import SpoolQueue
from tests.waiting import until

# More than a group gets before its batches are tried one by one.
ATTEMPTS = 5

# A sequence keeps its value when the transaction is rolled back, so it counts the failed attempts.
_DEADLOCKS = """
CREATE SEQUENCE public.attempts;
CREATE FUNCTION public.deadlock() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM nextval('public.attempts'); RAISE 'always' USING ERRCODE = '{code}'; END$$;
CREATE TRIGGER deadlock BEFORE INSERT ON _otel.logs FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION public.deadlock();
"""


def _batch(severity: int) -> Batch:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano, record.severity_number = time.time_ns(), severity  # type: ignore[assignment]
    return Batch(Signal.LOGS, request.SerializeToString())


def _replay(database: str, spool: SpoolQueue, done: Callable[[], object]) -> None:
    replayer = DatabaseReplayer(lambda: PostgresWriter(database), spool, Availability())
    replayer.start()
    until(done, "the replayer")
    replayer.stop(20)


def test_batches_that_always_deadlock_are_set_aside_and_counted(database: str, tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 10_000_000)
    batches = [_batch(17), _batch(18), _batch(19), _batch(20), _batch(9), _batch(10)]
    spool.append(batches)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_DEADLOCKS.format(code="40P01", when="NEW.severity_number >= 17"))
        _replay(database, spool, lambda: spool.empty)
        stored = connection.execute("SELECT severity_number FROM _otel.logs ORDER BY 1").fetchall()
        losses = connection.execute(
            "SELECT effect, count FROM _otel.losses WHERE reason = 'spool_quarantined'"
        ).fetchall()
    assert spool.empty
    assert stored == [(9,), (10,)]
    assert sum(count for effect, count in losses if effect == "dropped") == 4
    kept = []
    for path in spool_files(tmp_path / "quarantine"):
        file = open_file(path)
        assert file is not None
        with file:
            kept += [file.read(entry) for entry in file.pending()]
    assert set(kept) == set(batches[:4])
    assert spool.quarantined() == 4


def _attempts(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT last_value FROM public.attempts").fetchone()
    assert row is not None
    return int(row[0])


def test_nothing_is_quarantined_while_no_batch_can_be_stored(database: str, tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 10_000_000)
    spool.append([_batch(9), _batch(10)])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_DEADLOCKS.format(code="53100", when="true"))
        _replay(database, spool, lambda: _attempts(connection) >= ATTEMPTS)
    assert len(spool.read(10_000_000)) == 2
    assert spool.quarantined() == 0
