"""Whoever only looks needs a reader's login: each command that shows something, run with one."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from otelgres.collector.embedded import Cluster, Login
from tests import postgres
from tests.acceptance.receiver_process import Serving, environment, invoke, served
from tests.waiting import TIMEOUT, until

LOGIN = "somebody_who_looks"
APPLICATION = """
import logging
from otel_setup import configure_telemetry, checkpoint, flow, phase, shutdown_telemetry
from otel_setup.operations import log_database_event
configure_telemetry(service_name="shop")
with flow("order"), phase("pay"):
    logging.getLogger("shop").error("declined")
    checkpoint("PAID")
    log_database_event("database_operation", {"name": "n"}, {"success": True}, {"operation_type": "get"})
shutdown_telemetry()
"""


@contextmanager
def read_by(login: str, cluster: Cluster, migrated: str) -> Iterator[Serving]:
    """A receiver that has taken a flow, and a login that may read it."""
    with served(cluster, migrated) as receiver:
        env = environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}")
        subprocess.run([sys.executable, "-c", APPLICATION], env=env, timeout=TIMEOUT, check=True)
        until(lambda: receiver.rows("SELECT 1 FROM otel.receivers WHERE alive"), "the receiver to publish its metrics")
        made = invoke("role", "create", login, "--kind", "reader", OTELGRES_DSN=receiver.dsn)
        assert made.returncode == 0, made.stderr
        try:
            yield receiver
        finally:
            superuser = postgres.as_login(receiver.dsn, Login.SUPERUSER)
            with psycopg.connect(superuser, autocommit=True) as connection:
                connection.execute(f"DROP OWNED BY {login}; DROP ROLE {login}".encode())


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with read_by(LOGIN, cluster, migrated) as receiver:
        yield receiver


@pytest.fixture
def diagnosed(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    """One of its own: to diagnose is to send a flow."""
    with read_by(f"{LOGIN}_too", cluster, migrated) as receiver:
        yield receiver


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("monitor", "shop"),
        ("monitor --json", '"services"'),
        ("tail logs --since 1h -n 1", "declined"),
        ("tail spans --since 1h -n 1 --json", '"name"'),
        ("tail flows --since 1h -n 1", "order"),
        ("flow latest", "pay"),
        ("query --format csv 'SELECT name FROM otel.flows'", "order"),
        ("status", "spans"),
        ("alerts --all", "ok "),
        ("export training --out {folder}", "documents"),
    ],
)
def test_a_reader_is_enough(receiver: Serving, arguments: str, text: str, tmp_path: Path) -> None:
    words = shlex.split(arguments.format(folder=tmp_path))
    done = invoke(*words, OTELGRES_DSN=postgres.as_login(receiver.dsn, LOGIN))
    assert done.returncode == 0, done.stderr
    assert text in done.stdout


def test_diagnose_sees_the_schema_as_a_reader(diagnosed: Serving) -> None:
    addresses = ("--http", diagnosed.http, "--grpc", diagnosed.grpc)
    dsn = postgres.as_login(diagnosed.dsn, f"{LOGIN}_too")
    done = invoke("diagnose", "--json", *addresses, OTELGRES_DSN=dsn)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one for one in found if one["severity"] != "fine"] == []
    assert {"check": "schema", "severity": "fine", "what": "the schema is up to date", "fix": ""} in found
    with psycopg.connect(diagnosed.dsn, autocommit=True) as connection:
        newest = "(SELECT max(name) FROM _otel.migrations)"
        gone = connection.execute(f"DELETE FROM _otel.migrations WHERE name = {newest} RETURNING *").fetchone()
        done = invoke("diagnose", "--json", *addresses, OTELGRES_DSN=dsn)
        connection.execute("INSERT INTO _otel.migrations VALUES (%s, %s, %s)", gone)
    assert gone is not None
    assert any(gone[0] in line and '"warning"' in line for line in done.stdout.splitlines()), done.stdout
