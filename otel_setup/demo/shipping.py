"""The parcel desk: consumes a queue of messages, each of which carries the flow of its order.

Refuses to know who sends them.
"""

import itertools
import logging
import random
import threading
import time
from collections.abc import Iterable
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otel_setup import checkpoint, configure_telemetry, extract, phase
from otel_setup.demo.attendance import ParentLink
from otel_setup.demo.line_queue import Inbox

log = logging.getLogger("shipping")
meter = metrics.get_meter("shipping")
parcels = meter.create_counter("shipping.parcels", unit="{parcel}", description="Parcels that left")
weight = meter.create_histogram("shipping.parcel.weight", unit="kg", description="What they weigh")

_WORKERS = 2
_JAM_EVERY = 9
_dice = random.Random(3)  # noqa: S311 — how long things take, the same in each run
_labels = itertools.count(1)


class PrinterJamError(Exception):
    """The label did not come out."""


def ship(message: dict[str, Any]) -> None:
    """Packs, labels and sends what ``message`` is about, as a part of the flow that it carries."""
    with extract(message), phase("ship", item=message["item"]):
        with phase("pack"):
            time.sleep(_dice.uniform(0.02, 0.08))
        with phase("label"):
            try:
                print_label()
            except PrinterJamError:
                log.warning("the label printer jammed, trying again", exc_info=True)
                time.sleep(0.1)
        kilograms = round(message["quantity"] * _dice.uniform(0.2, 0.6), 2)
        checkpoint("ORDER_SHIPPED", kilograms=kilograms)
        parcels.add(1, {"item": message["item"]})
        weight.record(kilograms)
        log.info("parcel left", extra={"item": message["item"], "kilograms": kilograms})


def print_label() -> None:
    """Raises PrinterJamError now and then."""
    time.sleep(_dice.uniform(0.005, 0.02))
    if next(_labels) % _JAM_EVERY == 0:
        raise PrinterJamError("paper is stuck in tray 2")


def work(inbox: Inbox) -> None:
    """Ships until the queue is closed. A parcel that fails is logged, and the next one is taken."""
    while (message := inbox.receive()) is not None:
        try:
            ship(message)
        except Exception:
            log.exception("a parcel was left behind")


def main() -> None:
    """Consumes on a free port until stdin closes and the senders are gone."""
    # Nothing is kept for later: what one demo leaves would turn up in the next.
    telemetry = configure_telemetry(service_name="shipping", service_version="0.9.3", fallback=())
    attendance = ParentLink(telemetry)
    inbox = Inbox()

    def waiting(options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(len(inbox))]

    meter.create_observable_gauge("shipping.queue.length", [waiting], unit="{parcel}", description="Parcels waiting")
    workers = [threading.Thread(target=work, args=(inbox,), daemon=True) for _ in range(_WORKERS)]
    for worker in workers:
        worker.start()
    attendance.ready(inbox.port)
    attendance.wait()
    inbox.close()
    for worker in workers:
        worker.join()
    attendance.leave()


if __name__ == "__main__":
    main()
