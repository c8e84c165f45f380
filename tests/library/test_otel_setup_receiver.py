"""One call delivers all three signals from a real application process, on both transports."""

from collections.abc import Iterator

import pytest

from tests.library.otlp_receiver import Receiver, plain, run_app


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


EVERYTHING = """
import logging, sys
from opentelemetry import metrics, trace
from otel_setup import configure_telemetry
configure_telemetry("orders", endpoint=sys.argv[1], protocol=sys.argv[2], service_version="1.2.3",
                    environment="test", resource_attributes={"shop": "north"}, headers={"X-Token": "t0ken"})
with trace.get_tracer("app").start_as_current_span("work"):
    logging.getLogger("shop").info("hello %s", "world")
metrics.get_meter("app").create_counter("sales").add(3)
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_one_call_delivers_all_three_signals_at_exit(receiver: Receiver, protocol: str) -> None:
    endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint

    done = run_app(EVERYTHING, endpoint, protocol)

    span = receiver.span("work")
    (log,) = receiver.logs()
    assert plain(log.body) == "hello world"
    assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)
    ((resource, group),) = receiver.resources("metrics")
    assert group.scope_metrics[0].metrics[0].sum.data_points[0].as_int == 3
    assert {"service.name": "orders", "service.version": "1.2.3", "deployment.environment.name": "test"}.items() <= (
        resource.items()
    )
    assert {"shop": "north", "telemetry.sdk.language": "python", "process.runtime.name": "cpython"}.items() <= (
        resource.items()
    )
    assert resource["host.name"]
    assert resource["process.pid"] > 0
    assert resource["service.instance.id"]
    assert all(headers["x-token"] == "t0ken" for _, _, headers in receiver.received)
    assert done.stderr == ""
