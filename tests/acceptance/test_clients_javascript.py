"""OpenTelemetry's JavaScript SDK from npm against the real receiver: what it says it sent is what SQL shows."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, served
from tests.waiting import TIMEOUT

SOURCES = Path(__file__).with_name("javascript")
NODE, NPM = shutil.which("node"), shutil.which("npm")
INSTALL_SECONDS = 240.0
OFFLINE = re.compile(r"^npm (?:error|ERR!) code (?:ECONN\w+|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ENETUNREACH)$", re.MULTILINE)

pytestmark = pytest.mark.skipif(
    NODE is None or NPM is None, reason="node and npm, with which the JavaScript SDK is installed, are not on PATH"
)


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as running:
        yield running


@pytest.fixture(scope="module")
def sender() -> Iterator[Path]:
    """The sending program beside the packages it imports, which are installed once for each version of the lock."""
    lock = (SOURCES / "package-lock.json").read_bytes()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    installed = caches / "otelgres-acceptance" / f"javascript-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not installed.exists():
        installed.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=installed.parent))
        try:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCES / name, fresh)
            npm = [str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(npm, cwd=fresh, capture_output=True, text=True, timeout=INSTALL_SECONDS)
            if OFFLINE.search(done.stderr):
                pytest.skip("the npm registry, from which the JavaScript SDK is installed once, cannot be reached")
            assert done.returncode == 0, done.stderr
            try:
                fresh.rename(installed)
            except OSError:  # another worker was first
                assert installed.exists()
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    program = installed / f"sender-{os.getpid()}.mjs"
    shutil.copy(SOURCES / "sender.mjs", program)
    yield program
    program.unlink()


@pytest.fixture(scope="module", params=["json", "proto"])
def sent(request: pytest.FixtureRequest, receiver: Serving, sender: Path) -> dict[str, Any]:
    """What the program says it sent over OTLP/HTTP in this encoding."""
    done = subprocess.run(
        [str(NODE), str(sender), request.param, receiver.http],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_spans(receiver: Serving, sent: dict[str, Any]) -> None:
    second = int(sent["second"])
    root, child = receiver.rows(
        "SELECT * FROM otel.spans WHERE trace_id = %s ORDER BY start_time_unix_nano", sent["root"]["traceId"]
    )
    assert root["span_id"] == sent["root"]["spanId"]
    assert (root["name"], root["kind"], root["parent_span_id"]) == ("GET /cart", "SERVER", None)
    assert root["start_time_unix_nano"] == second + 123_456_789
    assert root["end_time_unix_nano"] == second + 999_999_999
    assert root["attributes"] == sent["values"]
    assert (root["status_code"], root["status_message"]) == ("OK", None)
    assert root["service_name"] == "shop-window"
    assert root["resource_attributes"] == {"service.name": "shop-window", "replicas": 3}
    assert (root["scope_name"], root["scope_version"]) == (sent["scope"], "1.2.3")

    assert (child["span_id"], child["parent_span_id"]) == (sent["child"]["spanId"], sent["root"]["spanId"])
    assert (child["name"], child["kind"]) == ("fetch", "CLIENT")
    assert (child["status_code"], child["status_message"]) == ("ERROR", "timed out")
    assert child["start_time_unix_nano"] == second + 123_456_790
    assert child["end_time_unix_nano"] == second + 300_000_003
    assert child["events"] == [{"time_unix_nano": second + 200_000_001, "name": "tried", "attributes": {"attempt": 1}}]
    [link] = child["links"]
    assert (link["trace_id"], link["span_id"]) == (sent["remote"]["traceId"], sent["remote"]["spanId"])
    assert link["attributes"] == {"why": "retry"}

    [flow] = receiver.rows("SELECT * FROM otel.flows WHERE trace_id = %s", sent["root"]["traceId"])
    assert (flow["name"], flow["span_count"], flow["error_count"], flow["complete"]) == ("GET /cart", 2, 1, True)


def test_logs(receiver: Serving, sent: dict[str, Any]) -> None:
    second = int(sent["second"])
    found = receiver.rows("SELECT * FROM otel.logs WHERE scope_name = %s ORDER BY time_unix_nano", sent["scope"])
    assert len(found) == len(sent["bodies"])
    for number, (row, body) in enumerate(zip(found, sent["bodies"], strict=True)):
        assert row["time_unix_nano"] == second + 1000 + number
        assert row["observed_time_unix_nano"] == second + 2000 + number
        assert (row["severity_number"], row["severity_text"], row["level"]) == (13, "warning", "warn")
        assert row["event_name"] == ("cart.opened" if number == 1 else None)
        assert row["attributes"] == sent["values"] | {"number": number}
        assert (row["body"] if isinstance(body, str) else row["body_value"]) == body
        assert (row["trace_id"], row["span_id"]) == (sent["root"]["traceId"], sent["root"]["spanId"])
        assert row["service_name"] == "shop-window"


def test_metrics(receiver: Serving, sent: dict[str, Any]) -> None:
    rows = receiver.rows("SELECT * FROM otel.metric_points WHERE scope_name = %s", sent["scope"])
    points = {row["metric_name"]: row for row in rows}
    assert len(points) == len(rows) == 5

    requests = points["requests"]
    assert (requests["type"], requests["temporality"], requests["is_monotonic"]) == ("sum", "CUMULATIVE", True)
    assert (requests["value_int"], requests["unit"], requests["attributes"]) == (7, "{request}", sent["values"])
    in_use = points["in_use"]
    assert (in_use["type"], in_use["is_monotonic"], in_use["value"], in_use["value_int"]) == ("sum", False, -4.5, None)
    temperature = points["temperature"]
    assert (temperature["type"], temperature["value"], temperature["unit"]) == ("gauge", 21.5, "Cel")
    assert (temperature["description"], temperature["attributes"]) == ("how warm it is", {"room": "a"})
    duration = points["duration"]
    assert (duration["type"], duration["explicit_bounds"], duration["bucket_counts"]) == (
        "histogram",
        [0.5, 1],
        [2, 0, 1],
    )
    assert (duration["count"], duration["sum"], duration["min"], duration["max"]) == (3, 7.75, 0.25, 7)
    grown = points["exponential"]
    assert grown["type"] == "exponential_histogram"
    assert (grown["count"], grown["sum"], grown["zero_count"]) == (5, 1007, 1)
    assert sum(grown["positive_counts"]) == 4
