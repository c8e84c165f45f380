"""The stock process: an HTTP service that reserves items. Every seventh request it is busy; frozen items take longer.

The instrumentation of Flask continues the trace of the caller.
"""

import itertools
import logging
import random
import threading
import time
from collections.abc import Iterable
from typing import Any

from flask import Flask, request
from opentelemetry import metrics
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.metrics import CallbackOptions, Observation
from werkzeug.serving import make_server

from otel_setup import configure_telemetry, phase
from otel_setup.demo.parent_link import ParentLink

log = logging.getLogger("stock")
meter = metrics.get_meter("stock")
reserved = meter.create_counter("stock.reserved", unit="{item}", description="Items reserved")

_BUSY_EVERY = 7
_dice = random.Random(2)  # noqa: S311 — durations, the same in each run


class Stockroom:
    """The quantities of all items."""

    def __init__(self, items: dict[str, int]) -> None:
        self._items = dict(items)
        self._lock = threading.Lock()

    def take(self, item: str, quantity: int) -> int | None:
        """Removes ``quantity`` of ``item``; returns what is left, or None if there are too few."""
        with self._lock:
            if self._items.get(item, 0) < quantity:
                return None
            self._items[item] -= quantity
            return self._items[item]

    def left(self, item: str) -> int:
        """The current quantity of ``item``."""
        return self._items.get(item, 0)

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        """The quantities, for a gauge."""
        return [Observation(left, {"item": item}) for item, left in self._items.items()]


def create_app(room: Stockroom) -> Flask:
    """The Flask application; ``POST /reservations`` takes ``{"item": …, "quantity": …}``."""
    app = Flask("stock")
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]  # the package has no types
    numbers = itertools.count(1)

    @app.post("/reservations")
    def reserve() -> tuple[dict[str, Any], int]:
        wanted = request.get_json()
        item, quantity = wanted["item"], wanted["quantity"]
        if next(numbers) % _BUSY_EVERY == 0:
            log.warning("too busy for a reservation", extra={"item": item})
            return {"error": "busy"}, 503
        with phase("find", item=item):
            time.sleep(_dice.uniform(0.2, 0.5) if item == "ice cream" else _dice.uniform(0.005, 0.02))
        left = room.take(item, quantity)
        if left is None:
            log.warning("too few left", extra={"item": item, "wanted": quantity, "left": room.left(item)})
            return {"error": "out of stock", "left": room.left(item)}, 409
        reserved.add(quantity, {"item": item})
        log.info("reserved", extra={"item": item, "quantity": quantity, "left": left})
        return {"left": left}, 201

    return app


def main() -> None:
    """Serves on a free port until stdin closes."""
    # No fallback: spooled records of one demo would appear in the next.
    telemetry = configure_telemetry(service_name="stock", service_version="2.0.1", fallback=())
    parent = ParentLink(telemetry)
    room = Stockroom({"apples": 100_000, "bread": 100_000, "coffee": 100_000, "ice cream": 100_000, "fireworks": 0})
    meter.create_observable_gauge("stock.level", [room.observe], unit="{item}", description="Items left")
    server = make_server("127.0.0.1", 0, create_app(room), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    parent.ready(server.port)
    parent.wait()
    server.shutdown()
    parent.close()


if __name__ == "__main__":
    main()
