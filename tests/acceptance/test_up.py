"""What a person types: ``up``, ``serve``, ``migrate`` and ``dsn`` as processes, their ends by signal and by kill."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from otelgres.collector.embedded import Cluster, Login, binaries, postmaster
from otelgres.collector.service.runfile import running
from tests import postgres
from tests.acceptance.receiver_process import (
    OtelgresProcess,
    Serving,
    environment,
    get,
    rows,
    run_otelgres,
    send_span,
    serve,
    up,
)
from tests.waiting import TIMEOUT, until

FIRST, SECOND, THIRD = "00000000000000a1", "00000000000000a2", "00000000000000a3"


@pytest.fixture
def new_data() -> Iterator[Path]:
    """Where a data folder of the test's own is to be made; nothing runs on it afterwards."""
    with postgres.temporary_data() as folder:
        yield folder / "data"


@pytest.fixture
def data(new_data: Path, made_data: Path) -> Path:
    """A data folder of the test's own with our schema, as a start of before leaves it."""
    postgres.copy_data(made_data, new_data)
    return new_data


def span_ids(dsn: str) -> list[str]:
    """All spans that SQL shows."""
    return [row["span_id"] for row in rows(dsn, "SELECT span_id FROM otel.spans ORDER BY span_id")]


def postmaster_of(data: Path) -> psutil.Process:
    found = postmaster.find(data / "postgres")
    assert found is not None
    return found.process


def test_the_first_line_says_everything_that_is_needed(new_data: Path) -> None:
    data = new_data
    with up(data) as process:
        ready = Serving(process, process.ready())
        assert ready.pid == process.process.pid
        assert get(f"{ready.http}/healthz").status_code == 200
        assert get(f"{ready.http}/readyz").status_code == 200
        assert send_span(ready.http, FIRST) == 200
        assert span_ids(ready.dsn) == [FIRST]
        host, _, port = ready.grpc.rpartition(":")
        with socket.create_connection((host, int(port)), TIMEOUT):
            pass

        printed = run_otelgres("dsn", "--data", str(data))
        assert printed.stdout.strip() == ready.dsn
        psql = subprocess.run(
            [binaries.packaged("18") / "psql", "-XAtc", "SELECT span_id FROM otel.spans", printed.stdout.strip()],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=environment(),
        )
        assert psql.stdout.strip() == FIRST, psql.stderr

        server = postmaster_of(data)
        assert process.stop(signal.SIGTERM) == 0
        assert not postmaster.alive(server)
        assert process.errors == ""


def test_ctrl_c_stops_everything(data: Path) -> None:
    with up(data) as process:
        process.ready()
        server = postmaster_of(data)
        assert process.stop(signal.SIGINT) == 0, process.errors
        assert not postmaster.alive(server)
    answer = run_otelgres("dsn", "--data", str(data))
    assert answer.returncode == 1
    assert "otelgres up" in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("there", ["owner.lock", "postgres/postmaster.pid"])
def test_a_signal_before_it_is_ready_leaves_nothing_running(new_data: Path, number: int, there: str) -> None:
    data = new_data
    with up(data) as process:
        until(lambda: (data / there).exists(), there)
        assert process.stop(number) == 0, process.errors
        assert process.errors == ""
    assert postmaster.find(data / "postgres") is None
    with up(data) as process:
        assert send_span(process.ready()["http"], FIRST) == 200
        assert process.stop() == 0, process.errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_it_stops_leave_nothing_running_either(data: Path, number: int) -> None:
    with up(data) as process:
        process.ready()
        server = postmaster_of(data)
        while process.process.poll() is None:
            process.process.send_signal(number)
            threading.Event().wait(0.001)
        assert process.process.returncode == 0, process.errors
        assert process.errors == ""
    assert not postmaster.alive(server)


def test_after_kill_9_of_the_receiver_the_next_start_works_on_the_same_data(data: Path) -> None:
    with up(data) as process:
        ready = Serving(process, process.ready())
        assert send_span(ready.http, FIRST) == 200
        assert process.stop(signal.SIGKILL) == -signal.SIGKILL
    with up(data) as process:
        ready = Serving(process, process.ready())
        assert span_ids(ready.dsn) == [FIRST]
        assert send_span(ready.http, SECOND) == 200
        assert span_ids(ready.dsn) == [FIRST, SECOND]
        assert process.stop() == 0, process.errors


def test_after_kill_9_of_postgresql_the_next_start_has_all_that_was_acknowledged(data: Path) -> None:
    with up(data) as process:
        ready = Serving(process, process.ready())
        assert send_span(ready.http, FIRST) == 200
        server = postmaster_of(data)
        server.kill()
        until(lambda: not postmaster.alive(server), "the end of PostgreSQL")
        # Kept in the spool: acknowledged, and not in any database yet.
        assert send_span(ready.http, SECOND) == 200
        until(lambda: get(f"{ready.http}/readyz").json()["storing"] == "spool", "the spool")
        assert get(f"{ready.http}/readyz").status_code == 200
        assert get(f"{ready.http}/healthz").status_code == 200
        assert process.stop() == 0, process.errors
    with up(data) as process:
        ready = Serving(process, process.ready())
        assert send_span(ready.http, THIRD) == 200
        until(lambda: span_ids(ready.dsn) == [FIRST, SECOND, THIRD], "the spans of both lives")


def test_a_second_one_on_the_same_data_names_the_process_that_uses_it(data: Path) -> None:
    with up(data) as first:
        ready = first.ready()
        second = run_otelgres("up", "--json", "--data", str(data), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
        assert second.returncode == 1
        assert second.stdout == ""
        assert str(data) in second.stderr
        assert str(ready["pid"]) in second.stderr
        assert "Traceback" not in second.stderr
        assert get(f"{ready['http']}/readyz").status_code == 200


@pytest.mark.parametrize("option", ["--grpc", "--http"])
def test_a_port_that_is_taken_is_named(data: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up(data, option, f"127.0.0.1:{port}") as process:
            assert process.process.wait(TIMEOUT) == 1
            assert f"127.0.0.1:{port}" in process.errors
            assert "in use" in process.errors
            assert "Traceback" not in process.errors
    assert postmaster.find(data / "postgres") is None


def test_unread_output_blocks_nothing(data: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"\n" * 4096)
    fcntl.fcntl(writing, fcntl.F_SETFL, 0)
    addresses = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with OtelgresProcess("up", "--data", str(data), *addresses, stdout=writing) as process:
        until(lambda: running(data) is not None, "the receiver's addresses")
        found = running(data)
        assert found is not None
        assert send_span(found.http, FIRST) == 200
        dsn = run_otelgres("dsn", "--data", str(data)).stdout.strip()
        assert span_ids(dsn) == [FIRST]
        assert process.stop() == 0, process.errors
    os.close(writing)
    os.close(reading)


def test_a_variable_that_is_no_setting_is_named(new_data: Path) -> None:
    data = new_data
    answer = run_otelgres("up", "--data", str(data), OTELGRES_GRCP="127.0.0.1:0")
    assert answer.returncode == 1
    assert "OTELGRES_GRCP" in answer.stderr
    assert "grpc" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not data.exists()


@pytest.mark.parametrize("major", ["16", "18"])
def test_migrate_and_serve_on_a_server_that_is_given(major: str, tmp_path: Path) -> None:
    with postgres.fast_cluster(major) as cluster:
        dsn = postgres.create_database(cluster, "given")
        first = run_otelgres("migrate", OTELGRES_DSN=dsn)
        assert first.returncode == 0, first.stderr
        assert "migrations applied" in first.stdout
        again = run_otelgres("migrate", "--dsn", dsn)
        assert again.stdout.strip() == "up to date"
        with serve(dsn, str(tmp_path)) as process:
            ready = Serving(process, process.ready())
            assert ready.dsn == dsn
            assert send_span(ready.http, FIRST) == 200
            assert span_ids(dsn) == [FIRST]
            with psycopg.connect(dsn) as connection:
                assert connection.info.server_version // 10000 == int(major)
            assert process.stop() == 0, process.errors


def test_serve_without_a_database_says_what_to_give() -> None:
    answer = run_otelgres("serve")
    assert answer.returncode == 2
    assert "--dsn" in answer.stderr


def test_a_receiver_started_while_postgresql_is_away_stores_all_when_it_comes(data: Path, tmp_path: Path) -> None:
    cluster = Cluster(data)
    cluster.start()
    dsn = cluster.dsn(Login.OWNER)
    cluster.stop()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serve(dsn, str(tmp_path), "--http", f"127.0.0.1:{port}") as process:
        http = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{http}/healthz") == 200, "a receiver without a database")
        assert answers(f"{http}/readyz") == 503
        assert send_span(http, FIRST) == 200
        with cluster:
            assert cluster.dsn(Login.OWNER) == dsn
            ready = Serving(process, process.ready())
            until(lambda: answers(f"{ready.http}/readyz") == 200, "readiness")
            until(lambda: span_ids(dsn) == [FIRST], "the span from before")
            assert send_span(ready.http, SECOND) == 200
            assert span_ids(dsn) == [FIRST, SECOND]
            assert process.stop() == 0, process.errors


def answers(url: str) -> int:
    """The status, or 0 where nobody answers."""
    try:
        return get(url).status_code
    except httpx.TransportError:
        return 0
