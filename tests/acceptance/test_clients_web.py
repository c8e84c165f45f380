"""A web application that knows nothing of telemetry, under ``opentelemetry-instrument`` with OTEL_* variables alone."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, served
from tests.waiting import TIMEOUT

APPLICATION = """
import logging
import sys

import flask
import requests
from werkzeug.serving import make_server

app = flask.Flask("shop")
log = logging.getLogger("shop.orders")


@app.get("/orders/<int:number>")
def order(number):
    log.warning("order %d is looked up", number)
    if number == 13:
        raise LookupError("no such order")
    if number == 7:
        return requests.get(flask.request.url_root + "orders/8").text
    return {"order": number}


server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
"""


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as running:
        yield running


@contextmanager
def instrumented(source: Path, **environ: str) -> Iterator[int]:
    """The application under the instrumenting command; its port. It has exported everything when the block ends."""
    source.write_text(APPLICATION, encoding="utf-8")
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    with subprocess.Popen(
        [command, sys.executable, source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**environ),
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield int(line)
            process.send_signal(2)
            assert process.wait(TIMEOUT) == 0
        finally:
            watchdog.cancel()
            process.kill()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_its_requests_are_spans_and_its_lines_are_logs(receiver: Serving, tmp_path: Path, protocol: str) -> None:
    service = f"shop over {protocol}"
    environ = {
        "OTEL_SERVICE_NAME": service,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.grpc}" if protocol == "grpc" else receiver.http,
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    }
    with instrumented(tmp_path / "shop.py", **environ) as port:
        shop = f"http://127.0.0.1:{port}/orders/"
        assert requests.get(shop + "1", timeout=TIMEOUT).json() == {"order": 1}
        assert requests.get(shop + "7", timeout=TIMEOUT).json() == {"order": 8}
        assert requests.get(shop + "13", timeout=TIMEOUT).status_code == 500
        assert requests.get(f"http://127.0.0.1:{port}/nowhere", timeout=TIMEOUT).status_code == 404

    spans = receiver.rows("SELECT * FROM otel.spans WHERE service_name = %s ORDER BY start_time_unix_nano", service)
    served_spans = [span for span in spans if span["kind"] == "SERVER"]
    assert [status(span) for span in served_spans] == [200, 200, 200, 500, 404]
    first, outer, inner, failed, missing = served_spans
    assert first["name"] == "GET /orders/<int:number>"
    assert first["attributes"].items() >= {"http.route": "/orders/<int:number>"}.items()
    assert first["resource_attributes"]["deployment.environment.name"] == "test"
    assert first["resource_attributes"]["telemetry.sdk.language"] == "python"
    assert first["duration_ms"] > 0
    assert failed["status_code"] == "ERROR"
    assert missing["status_code"] == "UNSET"

    [client] = [span for span in spans if span["kind"] == "CLIENT"]
    assert client["parent_span_id"] == outer["span_id"]
    assert inner["parent_span_id"] == client["span_id"]
    assert inner["trace_id"] == client["trace_id"] == outer["trace_id"]
    [flow] = receiver.rows("SELECT * FROM otel.flows WHERE flow_id = %s", outer["flow_id"])
    assert (flow["span_count"], flow["complete"]) == (3, True)

    lines = receiver.rows("SELECT * FROM otel.logs WHERE service_name = %s AND scope_name = 'shop.orders'", service)
    by_text = {line["body"]: line for line in lines}
    assert set(by_text) == {f"order {number} is looked up" for number in (1, 7, 8, 13)}
    assert by_text["order 1 is looked up"]["span_id"] == first["span_id"]
    assert by_text["order 8 is looked up"]["span_id"] == inner["span_id"]
    assert by_text["order 8 is looked up"]["level"] == "warn"

    points = receiver.rows(
        """SELECT count FROM otel.metric_points
        WHERE service_name = %s AND type = 'histogram' AND metric_name LIKE 'http.server%%'""",
        service,
    )
    assert sum(point["count"] for point in points) == len(served_spans)


def status(span: dict[str, dict[str, int]]) -> int:
    """The response's status, under the name of either convention."""
    attributes = span["attributes"]
    return attributes.get("http.response.status_code") or attributes["http.status_code"]
