"""An application at a steady rate: ``python -m otel_setup.bench.steady WHAT ENDPOINT RATE SECONDS``.

WHAT is ``records`` (of stdlib logging) or ``flows`` (of four checkpoints each, by the integration logger). Each carries
its number and the time of its first call. Prints how many it made once all were handed over.
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


def steadily(tell: Callable[[dict[str, Any]], None], rate: float, seconds: float) -> int:
    """Calls ``tell`` ``rate`` times a second; how often it did. Late calls are made up for at once."""
    begin = time.monotonic()
    number = 0
    while (due := number / rate) < seconds:
        wait = begin + due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        tell({"bench.number": number, "bench.called": time.time_ns()})
        number += 1
    return number


def _record(known: dict[str, Any]) -> None:
    logging.getLogger("orders").info("order %d accepted", known["bench.number"], extra=known)


def _flow(known: dict[str, Any]) -> None:
    flow_id = uuid.uuid4()
    for checkpoint in PATH:
        _voice.log_checkpoint(checkpoint, flow_id, symbol="AAPL", pattern_name="Doji", **known)


_voice = DatabaseIntegrationLogger("bench")


def _main() -> None:
    what, endpoint, rate, seconds = sys.argv[1:]
    configure_telemetry("otelgres-bench", endpoint=endpoint, spool=False)
    made = steadily({"records": _record, "flows": _flow}[what], float(rate), float(seconds))
    shutdown_telemetry(30)
    print(made, flush=True)


if __name__ == "__main__":
    _main()
