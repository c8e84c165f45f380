"""The drainer against real PostgreSQL: a batch that always fails must not hold up its neighbours."""

import time
from pathlib import Path

import psycopg
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelgres.collector.queue.availability import Availability
from otelgres.collector.queue.database_replayer import DatabaseReplayer
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.exporters.spool.files import open_file, spool_files
from otelgres.exporters.spool.queue import SpoolQueue

_DEADLOCKS = """
CREATE FUNCTION public.deadlock() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE 'always' USING ERRCODE = '{code}'; END$$;
CREATE TRIGGER deadlock BEFORE INSERT ON _otel.logs FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION public.deadlock();
"""


def _batch(severity: int) -> Batch:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano, record.severity_number = time.time_ns(), severity  # type: ignore[assignment]
    return Batch(Signal.LOGS, request.SerializeToString())


def _drain(database: str, spool: SpoolQueue, seconds: float, *, until_empty: bool) -> None:
    replayer = DatabaseReplayer(lambda: PostgresWriter(database), spool, Availability())
    replayer.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (until_empty and spool.empty):
        time.sleep(0.02)
    replayer.stop(20)


def test_batches_that_always_deadlock_are_set_aside_and_counted(database: str, tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 10_000_000)
    batches = [_batch(17), _batch(18), _batch(19), _batch(20), _batch(9), _batch(10)]
    spool.append(batches)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_DEADLOCKS.format(code="40P01", when="NEW.severity_number >= 17"))
        _drain(database, spool, 30, until_empty=True)
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


def test_nothing_is_quarantined_while_no_batch_can_be_stored(database: str, tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, 10_000_000)
    spool.append([_batch(9), _batch(10)])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_DEADLOCKS.format(code="53100", when="true"))
        _drain(database, spool, 6, until_empty=False)
    assert len(spool.read(10_000_000)) == 2
    assert spool.quarantined() == 0
