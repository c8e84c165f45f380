"""The shipping process: consumes a queue of messages, each with the flow of its order."""

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
from otel_setup.demo.line_queue import Inbox
from otel_setup.demo.parent_link import ParentLink

log = logging.getLogger("shipping")
meter = metrics.get_meter("shipping")
parcels = meter.create_counter("shipping.parcels", unit="{parcel}", description="Parcels shipped")
weight = meter.create_histogram("shipping.parcel.weight", unit="kg", description="Weight of parcels")

_WORKERS = 2
_JAM_EVERY = 9
_dice = random.Random(3)  # noqa: S311 — durations, the same in each run
_labels = itertools.count(1)


class PrinterJamError(Exception):
    """The label printer jammed."""


def ship(message: dict[str, Any]) -> None:
    """Packs, labels and ships the item of ``message``, in the flow of the message."""
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
    """Raises PrinterJamError on every ninth call."""
    time.sleep(_dice.uniform(0.005, 0.02))
    if next(_labels) % _JAM_EVERY == 0:
        raise PrinterJamError("paper is stuck in tray 2")


def work(inbox: Inbox) -> None:
    """Ships parcels until the queue is closed. Logs a parcel that fails and continues."""
    while (message := inbox.receive()) is not None:
        try:
            ship(message)
        except Exception:
            log.exception("parcel not shipped")


def main() -> None:
    """Consumes on a free port until stdin closes and the senders have disconnected."""
    # No fallback: spooled records of one demo would appear in the next.
    telemetry = configure_telemetry(service_name="shipping", service_version="0.9.3", fallback=())
    parent = ParentLink(telemetry)
    inbox = Inbox()

    def waiting(options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(len(inbox))]

    meter.create_observable_gauge("shipping.queue.length", [waiting], unit="{parcel}", description="Parcels waiting")
    workers = [threading.Thread(target=work, args=(inbox,), daemon=True) for _ in range(_WORKERS)]
    for worker in workers:
        worker.start()
    parent.ready(inbox.port)
    parent.wait()
    inbox.close()
    for worker in workers:
        worker.join()
    parent.close()


if __name__ == "__main__":
    main()
