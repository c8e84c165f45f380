"""The receiver with a database that is unreachable, failing or slow, and two receivers: every item is stored once."""

import concurrent.futures
import http.client
import itertools
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import psycopg
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otelgres.collector.embedded import Login
from otelgres.collector.queue.spool_folders import take_folder
from otelgres.collector.tools.chaos.items import NUMBER_KEY, ItemKind, Items
from otelgres.collector.tools.chaos.processes import DatabaseProcess
from otelgres.collector.tools.chaos.run import free_addresses, temporary_folder
from otelgres.collector.tools.chaos.transports import Answer, ChaosTransport, Grpc, Http
from otelgres.exporters.batch import Signal
from otelgres.exporters.spool.files import SpoolFile
from otelgres.exporters.spool.queue import SpoolQueue
from otelgres.exporters.spool.records import HEAD_BYTES, HEADER_BYTES
from otelgres.sql.migrate import migrate
from tests import postgres
from tests.acceptance.proxy import proxied
from tests.acceptance.receiver_process import OtelgresProcess, rows
from tests.waiting import until

ITEMS = Items(7, time.time_ns())
_numbers = itertools.count(1)


class Receiver:
    """``otelgres serve`` on ports that stay the same when it is killed and started again."""

    def __init__(self, dsn: str, spool: Path, **environ: str) -> None:
        self.grpc, self.http = free_addresses(2)
        self._environ = {"OTELGRES_DSN": dsn, "OTELGRES_SPOOL": str(spool), "OTELGRES_SHUTDOWN_SECONDS": "2", **environ}
        self.process = self._start()

    def _start(self) -> OtelgresProcess:
        arguments = ("serve", "--json", "--grpc", self.grpc, "--http", self.http)
        process = OtelgresProcess(*arguments, stdout=subprocess.DEVNULL, **self._environ)
        until(lambda: self.status("/healthz") == 200 or process.process.poll() is not None, "a listener that answers")
        assert process.process.poll() is None, process.errors
        return process

    def kill_and_start(self) -> None:
        self.process.process.send_signal(signal.SIGKILL)
        self.process.__exit__()
        self.process = self._start()

    def status(self, page: str) -> int:
        connection = http.client.HTTPConnection(self.http, timeout=10)
        try:
            connection.request("GET", page)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def until_ready(self) -> None:
        until(lambda: self.status("/readyz") == 200, "readiness")


@contextmanager
def receiving(dsn: str, spool: Path, **environ: str) -> Iterator[Receiver]:
    receiver = Receiver(dsn, spool, **environ)
    try:
        yield receiver
        assert receiver.process.stop() == 0, receiver.process.errors
    finally:
        receiver.process.__exit__()


def send(transport: ChaosTransport, kind: ItemKind, numbers: range) -> Answer:
    try:
        return transport.send(kind.signal, ITEMS.request(kind, numbers))
    finally:
        transport.close()


def transports(receiver: Receiver) -> list[ChaosTransport]:
    return [Grpc(receiver.grpc), Http(receiver.http, as_json=False), Http(receiver.http, as_json=True)]


def fresh(count: int = 5) -> range:
    """Numbers that no other test uses."""
    return range(first := next(_numbers) * 1000, first + count)


def stored(dsn: str, view: str = "logs") -> list[int]:
    """The numbers of the items that people see in a view, as often as they see them."""
    found = rows(dsn, f"SELECT (attributes ->> '{NUMBER_KEY}')::bigint AS number FROM otel.{view} ORDER BY 1")
    return [row["number"] for row in found]


def losses(dsn: str) -> dict[str, int]:
    found = rows(dsn, "SELECT reason, sum(count)::int AS count FROM _otel.losses GROUP BY 1")
    return {row["reason"]: row["count"] for row in found}


def test_a_real_server_away_at_the_start_and_again_later(tmp_path: Path) -> None:
    with temporary_folder() as folder:
        database = DatabaseProcess(folder)
        try:
            with receiving(database.dsn, tmp_path) as receiver:
                assert receiver.status("/readyz") == 503
                early, later = fresh(), fresh()
                for transport in transports(receiver):
                    assert send(transport, ItemKind.SPAN, early).status in ("grpc OK", "http 200")
                database.start()
                receiver.until_ready()
                until(lambda: stored(database.direct_dsn, "spans") == list(early), "what came before the server")
                database.end(immediate=True)
                for transport in transports(receiver):
                    assert send(transport, ItemKind.LOG, later).accepted
                database.start()
                receiver.until_ready()
                until(lambda: stored(database.direct_dsn) == list(later), "what came while it was away")
        finally:
            database.close()


def test_a_full_spool_makes_requests_retryable_and_clients_retry(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken = [fresh(3) for _ in range(2)]
    room = HEADER_BYTES + sum(HEAD_BYTES + len(ITEMS.request(ItemKind.SPAN, numbers)) for numbers in taken)
    with proxied(database) as (proxy, dsn), receiving(dsn, tmp_path, OTELGRES_MAX_SPOOL_BYTES=str(room)) as receiver:
        receiver.until_ready()
        proxy.refuse()
        for numbers in taken:
            assert send(Http(receiver.http, as_json=False), ItemKind.SPAN, numbers).accepted
        payload = ITEMS.request(ItemKind.SPAN, fresh(1))

        connection = http.client.HTTPConnection(receiver.http, timeout=20)
        connection.request("POST", "/v1/traces", payload, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        connection.close()
        with grpc.insecure_channel(receiver.grpc) as channel, pytest.raises(grpc.RpcError) as refusal:
            channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(payload, timeout=20)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        trailers = dict(refusal.value.trailing_metadata())
        assert RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds == 2
        status = Status.FromString(trailers["grpc-status-details-bin"])
        assert status.details[0].Is(RetryInfo.DESCRIPTOR)

        with caplog.at_level(logging.WARNING, "opentelemetry"), concurrent.futures.ThreadPoolExecutor(2) as pool:
            exports = [
                pool.submit(_export_one, exporter, name)
                for name, exporter in (
                    ("over http", HttpExporter(f"http://{receiver.http}/v1/traces")),
                    ("over grpc", GrpcExporter(receiver.grpc, insecure=True)),
                )
            ]
            refused = lambda: sum("Transient error" in str(record.msg) for record in caplog.records) >= 2  # noqa: E731
            until(refused, "both exporters having been refused")
            proxy.restore()
            for export in exports:
                export.result(60)
        names = {"over http", "over grpc"}
        until(
            lambda: names <= {row["name"] for row in rows(database, "SELECT name FROM otel.spans")}, "the SDK's spans"
        )
        mine = "SELECT count(*)::int AS count FROM otel.spans WHERE attributes ? 'chaos.number'"
        until(lambda: rows(database, mine)[0]["count"] == 3 * len(taken), "what was spooled")


def _export_one(exporter: HttpExporter | GrpcExporter, name: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("outage").start_span(name).end()
    provider.shutdown()


def spool_file(folder: Path) -> tuple[Path, SpoolFile]:
    """The one file of the receiver's spool, locked."""
    (path,) = folder.glob("*/*.spool")
    file = SpoolFile.open(path)
    assert file is not None
    return path, file


def test_a_damaged_spool_loses_only_the_damaged_batches_and_counts_them(database: str, tmp_path: Path) -> None:
    with proxied(database) as (proxy, dsn):
        proxy.refuse()
        with receiving(dsn, tmp_path) as receiver:
            sent = [fresh() for _ in range(3)]
            for numbers in sent:
                assert send(Grpc(receiver.grpc), ItemKind.LOG_WITHOUT_UID, numbers).accepted
            receiver.process.process.kill()
            receiver.process.process.wait()
            path, file = spool_file(tmp_path)
            second = file.pending()[1]
            file.close()
            with path.open("r+b") as content:
                content.seek(second.payload_at)
                content.write(bytes(second.length))
            receiver.kill_and_start()
            proxy.restore()
            until(lambda: stored(database) == [*sent[0], *sent[2]], "what was not damaged")
            until(lambda: losses(database) == {"spool_damaged": 1}, "the ledger's row")


@pytest.mark.parametrize(("place", "effect"), [(5, "repaired"), (-2000, "dropped")])
def test_a_flipped_byte_in_a_killed_receivers_spool_loses_at_most_one_batch_and_is_counted(
    database: str, tmp_path: Path, place: int, effect: str
) -> None:
    with proxied(database) as (proxy, dsn):
        proxy.refuse()
        with receiving(dsn, tmp_path) as receiver:
            sent = [fresh(40) for _ in range(5)]
            for numbers in sent:
                assert send(Grpc(receiver.grpc), ItemKind.LOG_WITHOUT_UID, numbers).accepted
            receiver.process.process.kill()
            receiver.process.process.wait()
            (path,) = tmp_path.glob("*/*.spool")
            content = bytearray(path.read_bytes())
            content[place] ^= 0xFF
            path.write_bytes(content)
            receiver.kill_and_start()
            proxy.restore()
            whole = sent if effect == "repaired" else sent[:-1]
            until(lambda: stored(database) == list(itertools.chain(*whole)), "what was not hit")
            until(lambda: losses(database) == {"spool_damaged": 1}, "the ledger's row")
            assert rows(database, "SELECT effect FROM _otel.losses") == [{"effect": effect}]
            until(lambda: list(tmp_path.glob("*/quarantine/*.damaged")), "the file kept for a person to look at")


def test_a_spool_that_cannot_be_read_just_now_is_read_later(database: str, tmp_path: Path) -> None:
    with proxied(database) as (proxy, dsn):
        proxy.refuse()
        with receiving(dsn, tmp_path) as receiver:
            numbers = fresh()
            assert send(Grpc(receiver.grpc), ItemKind.LOG, numbers).accepted
            receiver.process.process.kill()
            receiver.process.process.wait()
            _, holder = spool_file(tmp_path)
            receiver.kill_and_start()
            proxy.restore()
            until(lambda: "cannot be read now" in receiver.process.errors, "the attempt to read")
            holder.close()
            until(lambda: stored(database) == list(numbers), "what was locked away")
            assert losses(database) == {}


def test_a_kill_during_replay_duplicates_nothing(database: str, tmp_path: Path) -> None:
    with proxied(database) as (proxy, dsn), receiving(dsn, tmp_path) as receiver:
        receiver.until_ready()
        proxy.refuse()
        # Several transactions of the replayer, with seconds between the first and the last.
        sent = [fresh(1000) for _ in range(48)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda numbers: send(Grpc(receiver.grpc), ItemKind.LOG_WITHOUT_UID, numbers), sent)
        assert all(answer.accepted for answer in answers)
        proxy.bytes_per_second = 1_000_000
        proxy.restore()
        everything = sorted(itertools.chain(*sent))
        until(lambda: 0 < len(stored(database)) < len(everything), "a part of it")
        receiver.kill_and_start()
        proxy.bytes_per_second = None
        until(lambda: len(stored(database)) >= len(everything) and not list(tmp_path.glob("*/*.spool")), "the rest")
        assert stored(database) == everything


def test_a_read_only_database_is_one_that_is_away(database: str, tmp_path: Path) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]

    def make(setting: str) -> None:
        superuser = postgres.as_login(database, Login.SUPERUSER)
        with psycopg.connect(superuser, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            connection.execute(f"ALTER DATABASE {name} {setting}".encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    with receiving(database, tmp_path) as receiver:
        receiver.until_ready()
        before, during = fresh(), fresh()
        assert send(Grpc(receiver.grpc), ItemKind.LOG, before).accepted
        assert stored(database) == list(before)
        make("SET default_transaction_read_only = on")
        assert send(Grpc(receiver.grpc), ItemKind.LOG, during).accepted
        assert stored(database) == list(before)
        make("RESET default_transaction_read_only")
        until(lambda: stored(database) == [*before, *during], "what came meanwhile")


def test_migrations_run_while_data_arrives(empty_database: str, tmp_path: Path) -> None:
    with receiving(empty_database, tmp_path) as receiver, concurrent.futures.ThreadPoolExecutor(3) as pool:
        transport = Grpc(receiver.grpc)
        sent: list[int] = []

        def load(busy: Callable[[], bool]) -> None:
            while busy():
                numbers = fresh(40)
                assert transport.send(Signal.TRACES, ITEMS.request(ItemKind.SPAN, numbers)).accepted
                sent.extend(numbers)

        first = [pool.submit(migrate, empty_database) for _ in range(2)]
        load(lambda: not all(each.done() for each in first))
        applied = [name for each in first for name in each.result()]
        assert len(applied) == len(set(applied)), "a migration was applied twice"
        receiver.until_ready()
        for _ in range(3):
            with psycopg.connect(empty_database) as connection:
                connection.execute("DELETE FROM _otel.repeatable_migrations")
            again = [pool.submit(migrate, empty_database) for _ in range(2)]
            load(lambda: not all(each.done() for each in again))  # noqa: B023 (called within this round)
            for each in again:
                each.result()
        transport.close()
        until(lambda: stored(empty_database, "spans") == sorted(sent), "all that was acknowledged")
        assert rows(empty_database, "SELECT sum(span_count)::int AS sum FROM otel.flows")[0]["sum"] == len(sent)


def test_two_receivers_with_the_same_flows_and_the_same_new_days(database: str, tmp_path: Path) -> None:
    numbers = list(fresh(1000))
    with receiving(database, tmp_path) as one, receiving(database, tmp_path) as other:
        one.until_ready()
        other.until_ready()
        # The same spans in other company, in another order, at one moment, each needing partitions of many days.
        forwards = [ITEMS.request(ItemKind.SPAN, numbers[at : at + 100]) for at in range(0, 1000, 100)]
        backwards = [ITEMS.request(ItemKind.SPAN, numbers[at : at + 125][::-1]) for at in range(875, -1, -125)]
        work = [(one, payload) for payload in forwards] + [(other, payload) for payload in backwards]

        def deliver(receiver: Receiver, payload: bytes) -> Answer:
            transport = Grpc(receiver.grpc)
            try:
                return transport.send(Signal.TRACES, payload)
            finally:
                transport.close()

        with concurrent.futures.ThreadPoolExecutor(len(work)) as pool:
            answers = list(pool.map(lambda job: deliver(*job), work))
        assert {answer.status for answer in answers} == {"grpc OK"}
        until(lambda: len(stored(database, "spans")) >= len(numbers), "the spans")
        assert stored(database, "spans") == numbers
        assert rows(database, "SELECT sum(span_count)::int AS sum FROM otel.flows")[0]["sum"] == len(numbers)
        assert rows(database, "SELECT sum(count)::int AS sum FROM otel.span_stats")[0]["sum"] == len(numbers)
        assert losses(database) == {}
        for receiver in (one, other):
            assert "deadlock" not in receiver.process.errors
            assert "Traceback" not in receiver.process.errors


def test_a_batch_postgresql_cannot_store_does_not_affect_others(database: str, tmp_path: Path) -> None:
    poison = fresh()
    with psycopg.connect(database) as connection:
        connection.execute(
            f"ALTER TABLE _otel.logs ADD CHECK ((attributes ->> '{NUMBER_KEY}')::bigint <> {poison[2]})".encode()
        )
    with proxied(database) as (proxy, dsn), receiving(dsn, tmp_path) as receiver:
        receiver.until_ready()
        # While the database keeps silent they gather, and are written as one group.
        proxy.freeze()
        requests = [fresh() for _ in range(9)]
        requests.insert(5, poison)
        with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
            sending = [
                pool.submit(send, transports(receiver)[number % 3], ItemKind.LOG, numbers)
                for number, numbers in enumerate(requests)
            ]
            size = sum(len(ITEMS.request(ItemKind.LOG, numbers)) for numbers in requests)
            until(lambda: queued_bytes(receiver) >= size, "all of them waiting")
            proxy.restore()
            answers = [each.result(30) for each in sending]
        assert [answer.status for answer in answers if not answer.accepted] == ["http 400"]
        assert not answers[5].accepted
        assert stored(database) == sorted(number for numbers in requests if numbers != poison for number in numbers)
        until(lambda: losses(database) == {"not_storable": 1}, "the ledger's row")


def test_a_slow_database_rejects_requests_before_clients_time_out(database: str, tmp_path: Path) -> None:
    with proxied(database) as (proxy, dsn), receiving(dsn, tmp_path) as receiver:
        receiver.until_ready()
        proxy.bytes_per_second = 200_000
        # What 30 senders have in the air is far less than may wait in memory, but seconds of work for this database.
        sent = [fresh(100) for _ in range(300)]

        def deliver(numbers: range) -> list[str]:
            statuses = []
            transport = Grpc(receiver.grpc)
            payload = ITEMS.request(ItemKind.LOG_WITHOUT_UID, numbers)
            while not (answer := transport.send(Signal.LOGS, payload)).accepted:
                assert not answer.final, answer
                statuses.append(answer.status)
                if answer.status == "grpc RESOURCE_EXHAUSTED":
                    proxy.bytes_per_second = None
            transport.close()
            return statuses

        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            statuses = set(itertools.chain(*pool.map(deliver, sent)))
        assert "grpc RESOURCE_EXHAUSTED" in statuses
        assert stored(database) == sorted(itertools.chain(*sent))


def queued_bytes(receiver: Receiver) -> float:
    connection = http.client.HTTPConnection(receiver.http, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("otelcol_exporter_queue_size"))


@pytest.mark.parametrize("at_start", [True, False])
def test_shutdown_ends_although_the_database_does_not_answer(database: str, tmp_path: Path, at_start: bool) -> None:
    with proxied(database) as (proxy, dsn):
        if at_start:
            proxy.freeze()
        with receiving(dsn, tmp_path) as receiver, concurrent.futures.ThreadPoolExecutor(1) as pool:
            if not at_start:
                receiver.until_ready()
                assert send(Grpc(receiver.grpc), ItemKind.LOG, fresh()).accepted
                proxy.freeze()
                waiting = pool.submit(send, Http(receiver.http, as_json=True), ItemKind.LOG, fresh())
                until(lambda: queued_bytes(receiver) > 0, "a request that waits")
            assert receiver.process.stop() == 0
            if not at_start:
                assert not waiting.result(30).final


def test_a_killed_process_loses_nothing_that_append_returned_for(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from otelgres.collector.queue.spool_folders import take_folder; "
        "from otelgres.exporters.batch import Batch, Signal; from otelgres.exporters.spool.queue import SpoolQueue\n"
        "spools = [SpoolQueue(take_folder(Path(sys.argv[1])).path, 1 << 20) for _ in range(2)]\n"
        "for n in range(20): spools[n % 2].append([Batch(Signal.TRACES, b'%d' % n)])\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -signal.SIGKILL
    folder = take_folder(tmp_path)
    spool = SpoolQueue(folder.path, 1 << 20)
    found = []
    while read := spool.read(1 << 20):
        found += [int(item.batch.payload) for item in read]
        spool.forget(read[-1].position)
    assert found == [*range(0, 20, 2), *range(1, 20, 2)]
    folder.release()
