"""An application that logs at a steady rate: ``python -m otel_setup.bench.steady ENDPOINT RATE SECONDS``.

Each record carries its number and the time of the call. Prints how many it made once all were handed over.
"""

import logging
import sys
import time

from otel_setup import configure_telemetry, shutdown_telemetry


def log_steadily(logger: logging.Logger, rate: float, seconds: float) -> int:
    """Calls ``logger.info`` ``rate`` times a second; how often it did. Late calls are made up for at once."""
    begin = time.monotonic()
    number = 0
    while (due := number / rate) < seconds:
        wait = begin + due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        logger.info("order %d accepted", number, extra={"bench.number": number, "bench.called": time.time_ns()})
        number += 1
    return number


def _main() -> None:
    endpoint, rate, seconds = sys.argv[1:]
    configure_telemetry("otelgres-bench", endpoint=endpoint, spool=False)
    made = log_steadily(logging.getLogger("orders"), float(rate), float(seconds))
    shutdown_telemetry(30)
    print(made, flush=True)


if __name__ == "__main__":
    _main()
