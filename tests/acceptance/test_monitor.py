"""``otelgres monitor``: piped, as JSON, and on a real terminal of 80 columns that it redraws until Ctrl-C."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.acceptance.receiver_process import OTELGRES, environment, run_otelgres
from tests.sql import rows
from tests.sql.rows import Connection, Span
from tests.waiting import TIMEOUT


@pytest.fixture
def ready(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        fill(connection)
    return database


def fill(connection: Connection) -> None:
    now = datetime.now(UTC)
    start = rows.unix_nano(now - timedelta(seconds=90))
    requests = [
        Span(trace=uuid.uuid4(), start=start, end=start + 5 * rows.MS, name="GET /", kind=rows.SERVER, service="shop",
             status=2 if number == 0 else None)
        for number in range(10)
    ]  # fmt: skip
    flow = uuid.uuid4()
    stalled = Span(
        trace=flow, start=start, end=start, name="CHARGED", parent=rows.span_id(1), role=rows.CHECKPOINT,
        attributes={"otelgres.type": "checkpoint", "otelgres.flow.name": "or\x1b[31mder"},
    )  # fmt: skip
    error = Span(
        trace=uuid.uuid4(), start=start, end=start, name="PUBLISHED", parent=rows.span_id(1), role=rows.CHECKPOINT
    )
    rows.insert(connection, [*requests, stalled, error])
    connection.execute("INSERT INTO otel.flow_expectations VALUES ('PUBLISHED', '{PUBLISHED,DELIVERED}')")
    for event, source, more in (
        ("otelgres.heartbeat", "feed", {}),
        ("otelgres.heartbeat", "silent", {}),
        ("otelgres.subscription", "feed", {"channel": "ticks", "event_type": "subscription_active"}),
    ):
        age = 600 if source == "silent" else 10
        rows.put(
            connection, "logs", time=now - timedelta(seconds=age), time_unix_nano=1, observed_time_unix_nano=1,
            resource_id=rows.resource(connection, "shop"), scope_id=rows.scope(connection), severity_number=9, flags=0,
            dropped_attributes_count=0, event_name=event, body_value=Jsonb({"events": 7}),
            attributes=Jsonb({"source_system": source, "otelgres.heartbeat.interval": 60, **more}),
        )  # fmt: skip


def test_piped_it_is_plain_text(ready: str) -> None:
    done = run_otelgres("monitor", OTELGRES_DSN=ready)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert "no receiver is alive" in lines[0]
    assert any(line.startswith("missing_heartbeat silent") for line in lines)
    (shop,) = (line.split() for line in lines if line.startswith("shop"))
    assert shop[2] == "10.0%"
    (order,) = (line for line in lines if line.startswith("or [31mder"))
    assert order.rstrip().endswith("stalled after CHARGED")
    (tick,) = (line for line in lines if line.startswith("PUBLISHED"))
    assert tick.rstrip().endswith("stalled after PUBLISHED, missing DELIVERED")
    assert any(line.startswith("feed") and "events 7" in line for line in lines)
    assert any(line.startswith("feed") and "ticks" in line and "not confirmed" in line for line in lines)


def test_for_machines(ready: str) -> None:
    found = json.loads(run_otelgres("monitor", "--json", OTELGRES_DSN=ready).stdout)
    assert found["services"][0]["failed"] == 0.1
    assert {row["source_system"]: row["missed"] for row in found["heartbeats"]} == {"feed": False, "silent": True}


def test_an_empty_database_is_no_error(database: str) -> None:
    done = run_otelgres("monitor", OTELGRES_DSN=database)
    assert done.returncode == 0, done.stderr
    assert "none" in done.stdout


def test_on_a_terminal_of_80_columns(ready: str) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    process = subprocess.Popen(
        [*OTELGRES, "monitor", "--watch", "--interval", "0.3"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=environment(OTELGRES_DSN=ready, TERM="xterm-256color"),
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + TIMEOUT
    try:
        # The alternate screen, home, and the same again: redrawn in place, not cleared.
        while shown.count(b"SERVICES") < 3:
            assert time.monotonic() < deadline, shown[-2000:]
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        os.close(ours)
    assert b"\x1b[?1049h" in shown
    assert b"\x1b[2J" not in shown.split(b"SERVICES", 2)[2]
