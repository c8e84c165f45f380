"""Flows, phases and checkpoints as a real receiver sees them: one real application runs each form once."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.trace import TraceFlags

from tests.library.otlp_receiver import DEADLINE, Receiver, app, attributes, plain, run_app

ORDER = uuid.UUID("0190f7c4-8a3b-7c1d-9e2f-0123456789ab")
TIME_BASED = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
FAR = uuid.UUID("0190f7c4-8a3b-7c1d-9e2f-00000000fa00")

APP = r"""
import asyncio, contextvars, enum, logging, sys, threading, uuid
from opentelemetry import trace
from otel_setup import checkpoint, configure_telemetry, current_flow_id, extract, flow, inject, phase
configure_telemetry("flows", endpoint=sys.argv[1])
ORDER, TIME_BASED, FAR = map(uuid.UUID, sys.argv[2:5])
log = logging.getLogger("app")
class Stage(enum.Enum):
    ACCEPTED = "ORDER_ACCEPTED"
    SHIPPED = 4

assert current_flow_id() is None
with flow("order", flow_id=ORDER, **{"order.id": 7}) as order:
    assert order.flow_id == ORDER == current_flow_id()
    with phase("validate", rule="strict") as validate:
        log.info("inside")
        validate.set(result="ok", bad="\udcff")
    checkpoint(Stage.ACCEPTED, symbol="AAPL", user_count=3)
    checkpoint(Stage.SHIPPED)
    checkpoint("PLAIN")
    threading.Thread(target=lambda: order.checkpoint("FROM_THREAD")).start()
    def work():
        with phase("copied"): pass
    threading.Thread(target=contextvars.copy_context().run, args=(work,)).start()
    with flow("inner", flow_id=str(TIME_BASED)) as inner:
        assert inner.flow_id == TIME_BASED
    with flow("again", flow_id=ORDER.hex):
        pass
assert current_flow_id() is None

@flow("decorated", answer=42)
def work(x):
    "doc"
    return x + 1
assert (work(1), work(2), work.__doc__) == (2, 3, "doc")

@flow("async decorated")
async def awork(x):
    await asyncio.sleep(0)
    checkpoint("AWAITED")
    return x
async def main():
    assert await asyncio.gather(awork(1), awork(2)) == [1, 2]
    async with flow("async flow"):
        async with phase("async phase"):
            await asyncio.sleep(0)
asyncio.run(main())

@phase("counting")
def numbers():
    yield 1
assert list(numbers()) == [1]

try:
    with flow("failing"):
        with phase("breaking"):
            raise ValueError("part \udcff missing")
except ValueError:
    pass
try:
    with flow("leaving"):
        sys.exit(0)
except SystemExit:
    pass

with flow("bad id", flow_id="not an id") as handle:
    print(handle.flow_id)
with flow("nil id", flow_id=uuid.UUID(int=0)) as handle:
    assert handle.flow_id.int
with flow(None, flow_id=12345):
    pass

with trace.get_tracer("web").start_as_current_span("GET /"):
    with flow("from web"):
        pass

checkpoint("FAR_AWAY", flow_id=FAR)
checkpoint("BAD_FLOW", flow_id="?")
with phase("alone"):
    pass
with flow("unlucky\udcff", **{"k\udcff": "v", "": 1, "list": [1, {"a": 2}]}):
    pass
with trace.get_tracer("lib\udcff").start_as_current_span("foreign \udcff") as span:
    span.set_attribute("a", "\udcff"); span.set_attribute("huge", 2**70); span.add_event("e\udcff", {"x": "\udcff"})
"""


@pytest.fixture(scope="module")
def delivered() -> Iterator[tuple[Receiver, str]]:
    """Everything that the application sent, and what it printed."""
    with Receiver() as running:
        yield running, run_app(APP, running.grpc_endpoint, ORDER, TIME_BASED, FAR).stdout


@pytest.fixture(scope="module")
def receiver(delivered: tuple[Receiver, str]) -> Receiver:
    return delivered[0]


@pytest.fixture(scope="module")
def shown(delivered: tuple[Receiver, str]) -> str:
    return delivered[1]


def flow_of(span: Any) -> uuid.UUID:
    return uuid.UUID(bytes=span.trace_id)


def test_a_flow_is_a_true_root_with_its_id_as_trace_id(receiver: Receiver) -> None:
    span = receiver.span("order")
    assert flow_of(span) == ORDER
    assert span.parent_span_id == b""
    assert span.kind == 1
    assert attributes(span) == {"otelgres.type": "flow", "otelgres.flow.name": "order", "order.id": 7}


def test_phases_and_logs_hang_below_it(receiver: Receiver) -> None:
    order, validate = receiver.span("order"), receiver.span("validate")
    assert flow_of(validate) == ORDER
    assert validate.parent_span_id == order.span_id
    assert attributes(validate) == {
        "otelgres.type": "phase",
        "otelgres.flow.name": "order",
        "rule": "strict",
        "result": "ok",
        "bad": "\\udcff",
    }
    (log,) = [log for log in receiver.logs() if plain(log.body) == "inside"]
    assert (log.trace_id, log.span_id) == (order.trace_id, validate.span_id)


def test_a_copied_context_carries_the_flow_into_a_thread(receiver: Receiver) -> None:
    assert receiver.span("copied").parent_span_id == receiver.span("order").span_id


def test_checkpoints_are_moments_under_the_current_span(receiver: Receiver) -> None:
    order = receiver.span("order")
    for name in ("ORDER_ACCEPTED", "SHIPPED", "PLAIN", "FROM_THREAD"):
        span = receiver.span(name)
        assert span.parent_span_id == order.span_id
        assert span.start_time_unix_nano == span.end_time_unix_nano
        assert {"otelgres.type": "checkpoint", "otelgres.flow.name": "order"}.items() <= attributes(span).items()
    assert {"symbol": "AAPL", "user_count": 3}.items() <= attributes(receiver.span("ORDER_ACCEPTED")).items()


def test_a_flow_in_a_flow_is_a_root_of_its_own_with_a_link(receiver: Receiver) -> None:
    inner = receiver.span("inner")
    assert flow_of(inner) == TIME_BASED
    assert inner.parent_span_id == b""
    assert [(link.trace_id, link.span_id) for link in inner.links] == [
        (receiver.span("order").trace_id, receiver.span("order").span_id)
    ]
    web = receiver.span("GET /")
    assert [link.span_id for link in receiver.span("from web").links] == [web.span_id]
    assert receiver.span("from web").parent_span_id == b""


def test_the_same_flow_again_inside_itself_is_no_second_root(receiver: Receiver) -> None:
    again = receiver.span("again")
    assert flow_of(again) == ORDER
    assert again.parent_span_id == receiver.span("order").span_id


def test_each_call_of_what_a_flow_decorates_is_a_flow(receiver: Receiver) -> None:
    spans = [span for span in receiver.spans() if span.name == "decorated"]
    assert len({flow_of(span) for span in spans}) == 2
    assert all(attributes(span)["answer"] == 42 for span in spans)
    spans = [span for span in receiver.spans() if span.name == "async decorated"]
    awaited = [span for span in receiver.spans() if span.name == "AWAITED"]
    assert {span.span_id for span in spans} == {span.parent_span_id for span in awaited}
    assert len(awaited) == 2
    assert receiver.span("async phase").parent_span_id == receiver.span("async flow").span_id


def test_a_generator_is_not_wrapped_and_a_warning_is_logged(receiver: Receiver) -> None:
    assert [span for span in receiver.spans() if span.name == "counting"] == []
    assert any("generator functions cannot be decorated" in str(body) for body in receiver.bodies())


def test_an_exception_marks_every_span_that_it_leaves(receiver: Receiver) -> None:
    for name in ("failing", "breaking"):
        span = receiver.span(name)
        assert span.status.code == 2
        assert span.status.message == "ValueError: part \\udcff missing"
        (event,) = span.events
        assert event.name == "exception"
        assert attributes(event)["exception.type"] == "ValueError"
        assert 'File "<string>", line' in attributes(event)["exception.stacktrace"]
    assert receiver.span("leaving").status.code == 0


def test_what_is_no_flow_id_gets_a_new_one_and_a_warning(receiver: Receiver, shown: str) -> None:
    flow_id = uuid.UUID(shown.split()[0])
    assert flow_of(receiver.span("bad id")) == flow_id
    assert flow_id.version == 4
    assert any("not an id is not a flow id" in str(body) for body in receiver.bodies())
    assert receiver.span("None").parent_span_id == b""


@pytest.mark.skipif(not hasattr(TraceFlags, "RANDOM_TRACE_ID"), reason="the SDK knows the flag from 1.42 on")
def test_only_random_flow_ids_say_so_to_samplers(receiver: Receiver) -> None:
    flags = {log.trace_id: log.flags for log in receiver.starts()}
    assert flags[ORDER.bytes] & 3 == 3
    assert flags[TIME_BASED.bytes] & 3 == 1


def test_a_checkpoint_of_a_flow_elsewhere_joins_it_without_being_its_root(receiver: Receiver) -> None:
    far = receiver.span("FAR_AWAY")
    assert flow_of(far) == FAR
    assert len(far.parent_span_id) == 8
    assert far.parent_span_id not in {span.span_id for span in receiver.spans()}
    assert receiver.span("BAD_FLOW").parent_span_id == b""


def test_starts_are_recorded_when_they_happen(receiver: Receiver) -> None:
    starts = {attributes(log)["otelgres.span.name"]: log for log in receiver.starts()}
    for name, kind, parent in (("order", "flow", None), ("validate", "phase", "order")):
        log, span = starts[name], receiver.span(name)
        assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)
        assert log.time_unix_nano == span.start_time_unix_nano
        assert log.severity_number == 9
        assert not log.HasField("body") or plain(log.body) is None
        found = attributes(log)
        assert (found["otelgres.type"], found["otelgres.flow.name"]) == (kind, "order")
        assert found.get("otelgres.parent.span_id") == (parent and receiver.span(parent).span_id.hex())
        assert found["thread.name"] == "MainThread"
        assert found["process.pid"] > 0
        assert len(found["log.record.uid"]) == 32
    assert "PLAIN" not in starts
    assert "GET /" not in starts


def test_invalid_names_and_attributes_lose_no_span(receiver: Receiver) -> None:
    assert attributes(receiver.span("unlucky\\udcff"))["list"] == [1, {"a": 2}]
    foreign = receiver.span("foreign \\udcff")
    assert attributes(foreign) == {"a": "\\udcff", "huge": hex(2**70)}
    assert (foreign.events[0].name, attributes(foreign.events[0])) == ("e\\udcff", {"x": "\\udcff"})


def test_a_phase_alone_is_a_root(receiver: Receiver) -> None:
    alone = receiver.span("alone")
    assert alone.parent_span_id == b""
    assert attributes(alone) == {"otelgres.type": "phase"}


HANGING = r"""
import sys
from otel_setup import configure_telemetry, flow, phase
configure_telemetry(endpoint=sys.argv[1], in_flight=sys.argv[2] == "1")
with flow("blocked"), phase("waiting"):
    sys.stdin.readline()
"""


@pytest.mark.parametrize("in_flight", [True, False])
def test_work_that_hangs_is_seen_while_it_hangs(in_flight: bool) -> None:
    with (
        Receiver() as receiver,
        app(HANGING, receiver.grpc_endpoint, int(in_flight), OTEL_BLRP_SCHEDULE_DELAY="50") as process,
    ):
        if in_flight:
            receiver.wait(lambda: len(receiver.starts()) == 2)
            assert receiver.spans() == []
        process.communicate("\n", timeout=DEADLINE)
        assert {span.name for span in receiver.spans()} == {"blocked", "waiting"}
        assert len(receiver.starts()) == (2 if in_flight else 0)


WITHOUT_SDK = r"""
import asyncio, uuid, sys
from otel_setup import checkpoint, current_flow_id, extract, flow, inject, phase, shutdown_telemetry
assert "opentelemetry.sdk" not in sys.modules and "grpc" not in sys.modules
wanted = uuid.uuid4()
with flow("order", flow_id=wanted, a=1) as order:
    assert order.flow_id == wanted == current_flow_id()
    with phase("p") as p:
        assert p.flow_id == wanted
        p.set(x=1)
        p.checkpoint("C")
    checkpoint("D", flow_id=uuid.uuid4())
    inject({})
@flow("d")
async def d(): return 5
assert asyncio.run(d()) == 5
with extract({"otel": 1}), phase("q") as q:
    assert isinstance(q.flow_id, uuid.UUID)
assert shutdown_telemetry()
try:
    with flow("failing"): raise KeyError(1)
except KeyError: print("raised")
"""


def test_without_configuration_everything_works_and_does_nothing() -> None:
    done = run_app(WITHOUT_SDK)
    assert (done.stdout, done.stderr) == ("raised\n", "")
