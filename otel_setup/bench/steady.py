"""An application with a steady rate: ``python -m otel_setup.bench.steady WHAT ENDPOINT RATE SECONDS``.

WHAT is ``records`` (stdlib logging) or ``flows`` (four checkpoints each, with the integration logger). Each has its
number and the time of its first call as attributes. Prints how many were made, after all are exported.
"""

import logging
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from otel_setup import configure_telemetry, shutdown_telemetry
from otel_setup.integration import DatabaseIntegrationLogger, IntegrationCheckpoint

PATH: Final = (
    IntegrationCheckpoint.PATTERN_PUBLISHED,
    IntegrationCheckpoint.EVENT_RECEIVED,
    IntegrationCheckpoint.EVENT_PARSED,
    IntegrationCheckpoint.WEBSOCKET_DELIVERED,
)


def call_steadily(call: Callable[[dict[str, Any]], None], rate: float, seconds: float) -> int:
    """Calls ``call`` ``rate`` times per second; returns the number of calls. Late calls follow immediately."""
    begin = time.monotonic()
    number = 0
    while (due := number / rate) < seconds:
        wait = begin + due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        call({"bench.number": number, "bench.called": time.time_ns()})
        number += 1
    return number


def _record(known: dict[str, Any]) -> None:
    logging.getLogger("orders").info("order %d accepted", known["bench.number"], extra=known)


def _flow(known: dict[str, Any]) -> None:
    flow_id = uuid.uuid4()
    for checkpoint in PATH:
        _integration.log_checkpoint(checkpoint, flow_id, symbol="AAPL", pattern_name="Doji", **known)


_integration = DatabaseIntegrationLogger("bench")


def _main() -> None:
    what, endpoint, rate, seconds = sys.argv[1:]
    configure_telemetry("otelgres-bench", endpoint=endpoint, spool=False)
    made = call_steadily({"records": _record, "flows": _flow}[what], float(rate), float(seconds))
    shutdown_telemetry(30)
    print(made, flush=True)


if __name__ == "__main__":
    _main()
