"""``otelgres serve --workers N``: several processes that behave as one, also when one dies and when all stop."""

import contextlib
import itertools
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from otelgres.collector.tools.chaos.items import ItemKind
from otelgres.collector.tools.chaos.transports import ChaosTransport, Grpc, Http
from tests.acceptance.receiver_process import OtelgresProcess, get, invoke, post, rows, run_otelgres, serve
from tests.acceptance.test_outage import fresh, send, stored
from tests.waiting import until

WORKERS = 3


class Running:
    def __init__(self, process: OtelgresProcess, dsn: str, spool: str) -> None:
        self.process, self.dsn, self.spool, self.ready = process, dsn, spool, process.ready()
        self.acked: list[int] = []
        self._turn = itertools.count()

    def send(self) -> str:
        """One request on a connection of its own, so that any worker may get it."""
        grpc, http = self.ready["grpc"], self.ready["http"].removeprefix("http://")
        transport: ChaosTransport = Grpc(grpc) if next(self._turn) % 2 else Http(http, as_json=False)
        numbers = fresh(20)
        answer = send(transport, ItemKind.LOG_WITHOUT_UID, numbers)
        if answer.accepted:
            self.acked.extend(numbers)
        return answer.status

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.process.pid).children()

    def metrics(self, name: str) -> dict[str, float]:
        """The samples of a metric, as whichever worker is asked tells them for all."""
        text = get(f"{self.ready['http']}/metrics").text
        found = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(f"{name}{{"))
        return {labels: float(value) for labels, value in found}


@pytest.fixture
def running(database: str, tmp_path: Path) -> Iterator[Running]:
    with serve(database, str(tmp_path), "--workers", str(WORKERS)) as process:
        yield Running(process, database, str(tmp_path))


def status(dsn: str) -> dict[str, Any]:
    done = invoke("status", "--json", OTELGRES_DSN=dsn)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_workers_are_one_receiver_to_clients(running: Running) -> None:
    assert len(running.workers()) == WORKERS
    until(lambda: sum(running.metrics("otelgres_database_up").values()) == WORKERS, "the database's being there")
    until(lambda: running.send() and len(_busy(running)) == WORKERS, "work for every worker")
    bad = post(f"{running.ready['http']}/v1/logs", content=b"\xff", headers={"Content-Type": "application/json"})
    assert bad.status_code == httpx.codes.BAD_REQUEST
    until(lambda: sum(running.metrics("otelcol_exporter_sent_log_records").values()) == len(running.acked), "the sum")
    assert stored(running.dsn) == sorted(running.acked)

    def complete_status() -> dict[str, Any]:
        found = status(running.dsn)
        return found if sum(one["items_stored"] for one in found["receivers"]) == len(running.acked) else {}

    found = until(complete_status, "what `otelgres status` says of all of them", 60)
    assert len(found["receivers"]) == WORKERS
    assert rows(running.dsn, "SELECT count(value) > 40 AS every FROM otel.receivers WHERE alive") == [{"every": True}]
    for one in found["receivers"]:
        assert {"queue_bytes", "batch_requests", "commit_ms", "retries", "spool_bytes", "spool_age_s"} <= set(one)
        assert one["alive"]
    assert running.process.stop() == 0


def _busy(running: Running) -> set[str]:
    return {labels for labels, value in running.metrics("otelcol_exporter_sent_log_records").items() if value}


@contextlib.contextmanager
def _load(running: Running) -> Iterator[None]:
    """Two threads send until the block ends, however it ends: left running, they would take a core from later tests."""
    stop = threading.Event()

    def send() -> None:
        # With pauses: on one core, senders without any would keep the workers from starting.
        while not stop.wait(0.02):
            running.send()

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    try:
        yield
    finally:
        stop.set()
        for sender in senders:
            sender.join()


def test_a_worker_that_dies_is_replaced_and_loses_nothing(running: Running) -> None:
    victim = running.workers()[0]
    with _load(running):
        until(lambda: len(running.acked) > 100, "some load")
        victim.send_signal(signal.SIGKILL)
        until(
            lambda: len(running.workers()) == WORKERS and victim.pid not in {one.pid for one in running.workers()},
            "another worker",
        )
        # The new one takes over what the dead one kept, and drains it.
        until(lambda: sum(running.metrics("otelgres_database_up").values()) == WORKERS, "its being ready")
        workers = running.workers()
        # Under load: what is not stored then is not acknowledged.
        assert running.process.stop() == 0, running.process.errors
    assert not [one for one in workers if one.is_running()]
    with serve(running.dsn, running.spool) as after:
        after.ready()
        until(lambda: len(stored(running.dsn)) >= len(running.acked), "what was left in the spool")
        assert after.stop() == 0
    found = stored(running.dsn)
    assert len(found) == len(set(found))
    assert set(running.acked) <= set(found)


def test_workers_share_their_port_with_no_other_process(database: str, tmp_path: Path) -> None:
    with serve(database, str(tmp_path), "--workers", "2") as process:
        grpc = process.ready()["grpc"]
        done = run_otelgres(
            *("serve", "--workers", "2", "--grpc", grpc, "--http", "127.0.0.1:0"), OTELGRES_DSN=database
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert grpc.rpartition(":")[2] in done.stderr
        listing = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
        assert database not in listing
        assert process.stop() == 0
