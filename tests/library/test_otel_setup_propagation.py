"""A flow that goes through a JSON message from one real process to another, and messages that carry garbage."""

import json
import uuid
from typing import Any

import pytest
from opentelemetry import context, trace

from otel_setup import current_flow_id, extract, inject, phase
from tests.library.otlp_receiver import Receiver, attributes, run_app

SENDER = """
import json, sys
from otel_setup import configure_telemetry, flow, inject
configure_telemetry("sender", endpoint=sys.argv[1])
with flow("Bestellung für zwei", flow_id=sys.argv[2]):
    print(json.dumps(inject({"symbol": "AAPL"})))
"""
CONSUMER = """
import asyncio, json, sys
from otel_setup import checkpoint, configure_telemetry, extract, flow, phase
configure_telemetry("consumer", endpoint=sys.argv[1])
message = json.loads(sys.argv[2])
with extract(message) as flow_id:
    print(flow_id)
    with phase("work"):
        pass
    checkpoint("DELIVERED", flow_id=flow_id)
    with flow("same", flow_id=flow_id):
        pass
async def main():
    async with extract(message):
        with phase("async work"):
            pass
asyncio.run(main())
with phase("afterwards"):
    pass
"""


def test_a_flow_goes_on_in_another_process() -> None:
    flow_id = uuid.uuid4()
    with Receiver() as receiver:
        message = run_app(SENDER, receiver.grpc_endpoint, flow_id).stdout
        assert json.loads(message)["symbol"] == "AAPL"
        assert run_app(CONSUMER, receiver.grpc_endpoint, message).stdout == f"{flow_id}\n"

        root = receiver.span("Bestellung für zwei")
        assert root.trace_id == flow_id.bytes
        for name in ("work", "DELIVERED", "same", "async work"):
            span = receiver.span(name)
            assert (span.trace_id, span.parent_span_id) == (root.trace_id, root.span_id)
        for name in ("work", "DELIVERED", "async work"):
            assert attributes(receiver.span(name))["otelgres.flow.name"] == "Bestellung für zwei"
        assert receiver.span("afterwards").trace_id != flow_id.bytes
        assert [span.name for span in receiver.spans() if not span.parent_span_id] == [
            "Bestellung für zwei",
            "afterwards",
        ]


GOOD = "00-0190f7c48a3b7c1d9e2f0123456789ab-00f067aa0ba902b7-03"


@pytest.mark.parametrize(
    "message",
    [
        None,
        5,
        "text",
        b"bytes",
        [],
        {},
        {"otel": None},
        {"otel": "text"},
        {"otel": [GOOD]},
        {"otel": {"traceparent": 5}},
        {"otel": {"traceparent": b"00-"}},
        {"otel": {"traceparent": GOOD.upper()}},
        {"otel": {"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-03"}},
        {"otel": {"traceparent": "\udcff" * 50, "baggage": "\udcff=\udcff"}},
        {"otel": {"baggage": "otelgres.flow.name=x"}},
        {"otel": {5: 6}},
    ],
)
def test_a_message_without_a_good_carrier_changes_nothing(message: Any) -> None:
    before = context.get_current()
    with extract(message) as flow_id:
        assert flow_id is None
        assert current_flow_id() is None
        with phase("still works"):
            pass
    assert context.get_current() == before


@pytest.mark.parametrize("baggage", [5, "\udcff", "=;,", "x" * 9000, "otelgres.flow.name=%ff"])
def test_invalid_baggage_does_not_lose_the_trace(baggage: Any) -> None:
    with extract({"otel": {"traceparent": GOOD, "baggage": baggage, "tracestate": "==,"}}) as flow_id:
        assert flow_id == uuid.UUID("0190f7c4-8a3b-7c1d-9e2f-0123456789ab") == current_flow_id()
    assert not trace.get_current_span().get_span_context().is_valid


def test_inject_takes_what_it_is_given() -> None:
    message = {"a": 1}
    with extract({"envelope": {"traceparent": GOOD}}, key="envelope"):
        assert inject(message) is message
        assert message == {"a": 1, "otel": {"traceparent": GOOD}}
        assert inject() == {"otel": {"traceparent": GOOD}}
        assert inject({}, key="carrier") == {"carrier": {"traceparent": GOOD}}
        assert inject(7) == 7  # type: ignore[arg-type, comparison-overlap]
    assert inject() == {"otel": {}}
