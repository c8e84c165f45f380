"""Work that is interrupted: closed by another thread or task, cancelled, in the middle when a signal handler comes."""

from collections.abc import Iterator

import pytest

from tests.library.otlp_receiver import Receiver, run_app

ABANDONED = r"""
import asyncio, contextvars, sys, threading
from otel_setup import configure_telemetry, context_attributes, flow, phase, pipelines, runs
configure_telemetry("abandoned", endpoint=sys.argv[1])

def generator():
    with flow("flow"), phase("phase"), context_attributes(a=1), runs.run("run"), runs.run_phase("run phase"):
        with pipelines.pipeline("pipeline"), pipelines.step("step"), pipelines.LoggingContext("x"):
            yield

for close in contextvars.copy_context().run, lambda close: threading.Thread(target=close).start():
    opened = generator()
    contextvars.copy_context().run(next, opened)
    close(opened.close)

async def values():
    async with runs.run("async run"), phase("async phase"):
        yield

async def main():
    opened = values()
    await anext(opened)
    await asyncio.create_task(opened.aclose())
    left = values()
    await anext(left)

asyncio.run(main())
"""

SIGNALLED = r"""
import logging, signal, sys
from otel_setup import configure_telemetry, runs
telemetry = configure_telemetry("signalled", endpoint=sys.argv[1])
log = logging.getLogger("app")

def handler(*_):
    log.info("from the handler")
    run.set(interrupted=True)
    run.processed("signals")

class Interrupts(str):
    def __hash__(self):
        # While whoever looks it up is in the middle of its work.
        signal.raise_signal(signal.SIGUSR1)
        return super().__hash__()

class Items(dict):
    def items(self):
        signal.raise_signal(signal.SIGUSR1)
        return super().items()

signal.signal(signal.SIGUSR1, handler)
with runs.run("signalled") as run:
    run.metrics.count_log(Interrupts("INFO"))
    run.processed(Interrupts("things"))
    run._handle._span.set_attributes(Items(a=1))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert run.results["interrupted"]
    assert run.performance_summary()["processed"]["signals"] >= 3
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.mark.parametrize("source", [ABANDONED, SIGNALLED], ids=["abandoned", "signalled"])
def test_shutdown_neither_blocks_nor_prints(receiver: Receiver, source: str) -> None:
    done = run_app(source, receiver.grpc_endpoint)

    assert done.stderr == ""


def test_what_another_thread_closed_has_ended_all_the_same(receiver: Receiver) -> None:
    run_app(ABANDONED, receiver.grpc_endpoint)

    assert {"flow", "phase", "run", "run phase", "pipeline", "step", "async run", "async phase"} <= {
        span.name for span in receiver.spans()
    }
