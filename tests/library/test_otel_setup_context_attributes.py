"""Context attributes on every record made inside (sync, async, threads, decorated), and events, as they arrive."""

from collections.abc import Iterator

import pytest

from tests.library.otlp_receiver import Receiver, attributes, run_app

WORK = """
import asyncio, logging, threading, sys
from concurrent.futures import ThreadPoolExecutor
from otel_setup import configure_telemetry, context_attributes, flow, phase, checkpoint, record_event
configure_telemetry("a", endpoint=sys.argv[1])
log = logging.getLogger("app")

@context_attributes(terminal_id="T2")
def decorated():
    log.info("decorated")

@context_attributes({"dotted.name": 3})
async def decorated_async():
    await asyncio.sleep(0)
    log.info("async")

async def main():
    async with context_attributes(run="r"):
        await asyncio.gather(asyncio.create_task(decorated_async()))
        log.info("after")

with context_attributes(terminal_id="T1", region="north"):
    with flow("root"):
        log.info("inside", extra={"region": "own"})
        checkpoint("C", terminal_id="own")
        with context_attributes(region="south"), phase("p"):
            now = 1_700_000_000_000_000_001
            record_event("thing.happened", {"n": 1}, body={"k": [1]}, severity="WARNING", time_ns=now)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(log.info, "pooled").result()
        thread = threading.Thread(target=log.info, args=("threaded",))
        thread.start(); thread.join()
    decorated()
    asyncio.run(main())
log.info("outside")
record_event("\\ud800", {"bad": object.__new__(type("X", (), {"__str__": lambda s: 1 / 0}))}, severity=None)
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        run_app(WORK, opened.grpc_endpoint)
        yield opened


def log_of(receiver: Receiver, body: str) -> dict[str, object]:
    (record,) = [record for record in receiver.logs() if record.body.string_value == body]
    return attributes(record)


def test_logs_and_spans_carry_them_and_their_own_win(receiver: Receiver) -> None:
    inside = log_of(receiver, "inside")
    assert (inside["terminal_id"], inside["region"]) == ("T1", "own")
    assert attributes(receiver.span("root"))["terminal_id"] == "T1"
    assert attributes(receiver.span("C"))["terminal_id"] == "own"
    assert attributes(receiver.span("p"))["region"] == "south"
    assert {"terminal_id", "region"}.isdisjoint(log_of(receiver, "outside"))


@pytest.mark.parametrize("body", ["pooled", "threaded"])
def test_threads_carry_them_and_the_flow(receiver: Receiver, body: str) -> None:
    assert log_of(receiver, body)["terminal_id"] == "T1"
    (record,) = [record for record in receiver.logs() if record.body.string_value == body]
    assert record.trace_id == receiver.span("root").trace_id


def test_decorated_and_async_work_carries_them(receiver: Receiver) -> None:
    assert log_of(receiver, "decorated")["terminal_id"] == "T2"
    made = log_of(receiver, "async")
    assert (made["dotted.name"], made["run"], made["terminal_id"]) == (3, "r", "T1")
    assert "dotted.name" not in log_of(receiver, "after")


def test_starts_carry_them(receiver: Receiver) -> None:
    (start,) = [start for start in receiver.starts() if attributes(start)["otelgres.span.name"] == "root"]
    assert attributes(start)["terminal_id"] == "T1"


def test_an_event_is_a_record_with_a_name_of_its_own(receiver: Receiver) -> None:
    (event,) = [record for record in receiver.all_logs() if record.event_name == "thing.happened"]
    fields = attributes(event)
    assert (fields["n"], fields["region"]) == (1, "south")
    assert event.time_unix_nano == 1_700_000_000_000_000_001
    assert event.severity_text == "WARN"
    assert event.span_id == receiver.span("p").span_id
    assert len(str(fields["log.record.uid"])) == 32


def test_invalid_values_in_an_event_affect_only_themselves(receiver: Receiver) -> None:
    (event,) = [record for record in receiver.all_logs() if record.event_name == "\\ud800"]
    assert "ZeroDivisionError" in str(attributes(event)["bad"])
