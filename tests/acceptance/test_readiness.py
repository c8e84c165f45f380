"""/readyz says whether a batch handed in now would be stored, however many ask and whatever the database does."""

import concurrent.futures
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from otelgres.collector.tools.chaos.items import ItemKind
from tests.acceptance.proxy import proxied
from tests.acceptance.receiver_process import rows, send_span
from tests.acceptance.test_outage import ITEMS, Receiver, fresh, receiving
from tests.waiting import TIMEOUT, until

CONNECTIONS = (
    "SELECT count(*) FILTER (WHERE application_name = 'otelgres readiness') AS checking, count(*) AS all"
    " FROM pg_stat_activity WHERE datname = current_database()"
)


@pytest.fixture
def receiver(database: str, tmp_path: Path) -> Iterator[Receiver]:
    with receiving(database, tmp_path) as running:
        until_storing(running, "database")
        yield running


def ready(receiver: Receiver) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"http://{receiver.http}/readyz", timeout=TIMEOUT)
    return answer.status_code, answer.json()


def until_storing(receiver: Receiver, into: str) -> dict[str, Any]:
    def as_said() -> dict[str, Any] | None:
        status, detail = ready(receiver)
        assert (status == 200) == (detail["status"] == "ready")
        return {**detail, "code": status} if detail["storing"] == into else None

    found = until(as_said, f"storing into {into}")
    assert found is not None
    return found


def send(receiver: Receiver) -> int:
    return httpx.post(
        f"http://{receiver.http}/v1/logs",
        content=ITEMS.request(ItemKind.LOG, fresh(1)),
        headers={"Content-Type": "application/x-protobuf"},
        timeout=TIMEOUT,
    ).status_code


@contextmanager
def holding(dsn: str, statement: str) -> Iterator[None]:
    """A transaction of another session that has done this and not ended."""
    with psycopg.connect(dsn) as owner:
        owner.execute(statement.encode())
        yield
        owner.rollback()


def test_many_callers_share_one_check_and_one_connection(receiver: Receiver, database: str) -> None:
    most = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        with psycopg.connect(database, autocommit=True) as connection:
            while not ended.is_set():
                row = connection.execute(CONNECTIONS.encode()).fetchone()
                assert row is not None
                most = max(most, row[0])

    def ask(_: int) -> int:
        return receiver.status("/readyz")

    before = rows(database, "SELECT sessions FROM pg_stat_database WHERE datname = current_database()")
    watching = threading.Thread(target=watch)
    watching.start()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(200))) == {200}
    ended.set()
    watching.join(TIMEOUT)
    assert most == 1
    after = rows(database, "SELECT sessions FROM pg_stat_database WHERE datname = current_database()")
    # Ours that watch, and what a receiver opens of its own accord.
    assert after[0]["sessions"] - before[0]["sessions"] < 20


def test_a_lock_that_writers_need_is_told_without_and_with_requests(receiver: Receiver, database: str) -> None:
    assert until_storing(receiver, "database")["code"] == 200
    with holding(database, "LOCK TABLE _otel.logs"):
        # Nobody sends.
        found = until_storing(receiver, "nothing")
        assert (found["code"], found["database"]) == (503, "reachable")
        assert "locked" in found["reason"]
        assert receiver.status("/healthz") == 200
    assert until_storing(receiver, "database")["code"] == 200
    assert send(receiver) == 200


def test_requests_that_wait_are_evidence_whatever_they_wait_for(receiver: Receiver, database: str) -> None:
    # A lock that no check of ours looks at: only the requests show it.
    lock = "LOCK TABLE _otel.resources IN SHARE ROW EXCLUSIVE MODE"
    with concurrent.futures.ThreadPoolExecutor(2) as pool, holding(database, lock):
        until_storing(receiver, "database")
        waiting = pool.submit(send, receiver)
        found = until_storing(receiver, "nothing")
        assert found["code"] == 503
        assert "waited" in found["reason"]
    assert waiting.result() == 200
    assert until_storing(receiver, "database")["code"] == 200


def test_without_a_database_it_is_ready_while_the_spool_has_room(database: str, tmp_path: Path) -> None:
    room = {"OTELGRES_MAX_SPOOL_BYTES": str(200_000)}
    with proxied(database) as (proxy, dsn), receiving(dsn, tmp_path, **room) as receiver:
        assert until_storing(receiver, "database")["code"] == 200
        proxy.refuse()
        found = until_storing(receiver, "spool")
        assert (found["code"], found["database"]) == (200, "unavailable")
        assert send_span(f"http://{receiver.http}", "00000000000000aa") == 200
        assert until_storing(receiver, "spool")["code"] == 200
        (next(tmp_path.glob("*/owner.lock")).parent / "quarantine").mkdir(exist_ok=True)
        filler = next(tmp_path.glob("*/quarantine")) / "filler"
        filler.write_bytes(bytes(190_000))
        found = until_storing(receiver, "nothing")
        assert found["code"] == 503
        assert "full" in found["reason"]
        filler.unlink()
        assert until_storing(receiver, "spool")["code"] == 200
        proxy.restore()
        assert until_storing(receiver, "database")["code"] == 200


def test_a_database_that_does_not_answer_costs_one_connection_and_seconds(database: str, tmp_path: Path) -> None:
    with proxied(database) as (proxy, dsn), receiving(dsn, tmp_path) as receiver:
        assert until_storing(receiver, "database")["code"] == 200
        proxy.freeze()
        assert until_storing(receiver, "nothing")["code"] == 503
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            assert set(pool.map(lambda _: receiver.status("/readyz"), range(20))) == {503}
        assert rows(database, CONNECTIONS)[0]["checking"] <= 1
        assert receiver.status("/healthz") == 200
        proxy.restore()
        assert until_storing(receiver, "database")["code"] == 200
