"""Measures the cost of telemetry calls: ``python -m otel_setup.bench.calls SITUATION ENDPOINT CALLS``.

The situation is ``present`` (a receiver answers at the endpoint), ``absent`` (none does), ``logger`` (the endpoint is
the DSN of a database that ``initialize_logger`` writes to directly) or ``unconfigured``. Prints JSON: call ->
microseconds of CPU, in the calling thread and in the whole process.
"""

import json
import logging
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from statistics import median

from opentelemetry import trace

from otel_setup import checkpoint, configure_telemetry, flow, phase, shutdown_telemetry
from otel_setup.bench.pipeline_calls import pipeline_calls
from otel_setup.bench.run_calls import run_calls
from otel_setup.integration import DatabaseIntegrationLogger
from otel_setup.logger import initialize_logger
from otel_setup.operations import log_database_event, monitor_performance
from otel_setup.runs import run

# Less than the SDK's batch and queue sizes: nothing is dropped and no export runs during a burst.
_BURST = 250


def _calls() -> dict[str, Callable[[int], None]]:
    logger = logging.getLogger("orders")
    tracer = trace.get_tracer("orders")

    def log(number: int) -> None:
        logger.info("order %d accepted", number, extra={"symbol": "AAPL"})

    def span(number: int) -> None:
        tracer.start_span("validate", attributes={"order.id": number, "symbol": "AAPL", "side": "buy"}).end()

    def new_flow(number: int) -> None:
        with flow("order", order_id=number):
            pass

    def new_phase(number: int) -> None:
        with phase("validate", order_id=number):
            pass

    def reached(number: int) -> None:
        checkpoint("ORDER_ACCEPTED", order_id=number, symbol="AAPL")

    integration = DatabaseIntegrationLogger("bench")
    event = {"flow_id": str(uuid.uuid4()), "symbol": "AAPL", "pattern": "Doji", "confidence": 0.5}

    def passed(number: int) -> None:
        integration.log_checkpoint("EVENT_RECEIVED", event=event, channel="events")

    def stored(number: int) -> None:
        log_database_event(
            "database_operation", {"name": "Ada"}, {"success": True}, {"operation_type": "add", "number": number}
        )

    @monitor_performance("work")
    def watched(number: int) -> None:
        pass

    return {
        "logger.info": log,
        "span": span,
        "flow": new_flow,
        "phase": new_phase,
        "checkpoint": reached,
        "integration: log_checkpoint": passed,
        "operations: log_database_event": stored,
        "operations: monitor_performance": watched,
    }


def measure(flush: Callable[[], object], bursts: int) -> dict[str, dict[str, float]]:
    """The cost of each call in µs: ``thread`` is the median of bursts; ``process`` includes ``flush`` after each."""
    with flow("bench"):
        costs = {name: _cost(call, flush, bursts) for name, call in (_calls() | pipeline_calls()).items()}
    with run("bench") as execution:
        return costs | {name: _cost(call, flush, bursts) for name, call in run_calls(execution).items()}


def _cost(call: Callable[[int], None], flush: Callable[[], object], bursts: int) -> dict[str, float]:
    call(0)
    flush()
    own: list[float] = []
    process = time.process_time_ns()
    for _ in range(bursts):
        begin = time.thread_time_ns()
        for number in range(_BURST):
            call(number)
        own.append((time.thread_time_ns() - begin) / _BURST / 1e3)
        flush()
    total = (time.process_time_ns() - process) / _BURST / bursts / 1e3
    return {"thread": median(own), "process": total}


def _main() -> None:
    # A temporary spool: measurements must not be replayed as the user's telemetry.
    with tempfile.TemporaryDirectory(prefix="otelgres-bench-", ignore_cleanup_errors=True) as spool:
        _run(spool, *sys.argv[1:])


def _run(spool: str, situation: str, endpoint: str, calls: str) -> None:
    flush: Callable[[], object] = lambda: None  # noqa: E731 (one of two functions)
    if situation == "logger":
        database = {"dsn": endpoint, "table_prefix": "bench"}
        initialize_logger({"logging": {"level": "INFO", "console": {"enabled": False}}, "database": database})
        flush = configure_telemetry().force_flush
    elif situation != "unconfigured":
        telemetry = configure_telemetry("otelgres-bench", endpoint=endpoint, spool=spool, shutdown_timeout=2)
        if situation == "present":
            flush = telemetry.force_flush
    print(json.dumps(measure(flush, -(-int(calls) // _BURST))), flush=True)
    shutdown_telemetry()


if __name__ == "__main__":
    _main()
