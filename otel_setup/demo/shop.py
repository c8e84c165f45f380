"""The web shop: accepts an order, reserves it in ``stock``, charges the card and sends the parcel to ``shipping``.

An ordinary Flask application with OpenTelemetry's own instrumentation.
"""

import argparse
import logging
import random
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import requests
from flask import Flask, request
from opentelemetry import metrics
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from werkzeug.serving import make_server

from otel_setup import checkpoint, configure_telemetry, flow, inject, phase
from otel_setup.demo.line_queue import Outbox
from otel_setup.demo.parent_link import ParentLink

log = logging.getLogger("shop")
meter = metrics.get_meter("shop")
orders_counter = meter.create_counter("shop.orders", unit="{order}", description="Orders by outcome")
orders_open = meter.create_up_down_counter("shop.orders.open", unit="{order}", description="Orders in progress")
order_duration = meter.create_histogram("shop.order.duration", unit="ms", description="Time from request to response")

_ATTEMPTS = 3
_dice = random.Random(1)  # noqa: S311 — durations, the same in each run


class OrderRejectedError(Exception):
    """The order is rejected; the response has the outcome."""

    status = 400
    outcome = "invalid"


class OutOfStockError(OrderRejectedError):
    """``stock`` has too few items."""

    status = 409
    outcome = "out_of_stock"


class StockUnavailableError(OrderRejectedError):
    """``stock`` was busy on all attempts."""

    status = 503
    outcome = "unavailable"


class PaymentDeclinedError(OrderRejectedError):
    """The bank declined the payment."""

    status = 402
    outcome = "declined"


def create_app(stock_url: str, shipments: Outbox) -> Flask:
    """The Flask application; ``POST /orders`` takes ``{"item": …, "quantity": …, "card": …}``."""
    app = Flask("shop")
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]  # the package has no types

    @app.post("/orders")
    def place_order() -> tuple[dict[str, Any], int]:
        order = request.get_json()
        order_id = uuid.uuid4()
        began = time.perf_counter()
        orders_open.add(1)
        try:
            # The order's id is the trace id, so the order's telemetry can be found by it.
            with flow("order", flow_id=order_id, item=order["item"], quantity=order["quantity"]):
                fulfil(order, stock_url, shipments)
            outcome, status = "taken", 201
        except OrderRejectedError as refusal:
            outcome, status = refusal.outcome, refusal.status
        finally:
            orders_open.add(-1)
        orders_counter.add(1, {"outcome": outcome})
        order_duration.record((time.perf_counter() - began) * 1e3, {"outcome": outcome})
        return {"order_id": str(order_id), "outcome": outcome}, status

    return app


def fulfil(order: Mapping[str, Any], stock_url: str, shipments: Outbox) -> None:
    """Processes an order. Raises OrderRejectedError."""
    try:
        with phase("validate"):
            validate(order)
        checkpoint("ORDER_ACCEPTED", item=order["item"])
        with phase("reserve"):
            reserve(order, stock_url)
        checkpoint("STOCK_RESERVED")
        with phase("pay", card=order["card"]) as payment:
            payment.set(amount=charge(order))
        checkpoint("PAYMENT_TAKEN")
        with phase("send to shipping"):
            shipments.send(inject({"item": order["item"], "quantity": order["quantity"]}))
        log.info("order taken", extra={"item": order["item"], "quantity": order["quantity"]})
    except OrderRejectedError as refusal:
        log.exception("order refused", extra={"item": order["item"], "outcome": refusal.outcome})
        raise


def validate(order: Mapping[str, Any]) -> None:
    """Raises OrderRejectedError for an invalid order."""
    time.sleep(_dice.uniform(0.001, 0.004))
    if order["quantity"] < 1:
        raise OrderRejectedError(f"{order['quantity']} {order['item']} cannot be ordered")
    log.debug("order is valid", extra={"item": order["item"]})


def reserve(order: Mapping[str, Any], stock_url: str) -> None:
    """Sends a request to ``stock``, with retries while it is busy. Raises OutOfStockError or StockUnavailableError."""
    for attempt in range(1, _ATTEMPTS + 1):
        wanted = {"item": order["item"], "quantity": order["quantity"]}
        answer = requests.post(f"{stock_url}/reservations", json=wanted, timeout=5)
        if answer.ok:
            return
        if answer.status_code == OutOfStockError.status:
            raise OutOfStockError(f"{answer.json()['left']} {order['item']} left, {order['quantity']} wanted")
        log.warning("stock is busy", extra={"attempt": attempt, "http.response.status_code": answer.status_code})
        time.sleep(0.02 * attempt)
    raise StockUnavailableError(f"stock was busy {_ATTEMPTS} times")


def charge(order: Mapping[str, Any]) -> float:
    """Simulates the payment; returns the amount. Raises PaymentDeclinedError."""
    amount: float = round(order["quantity"] * 3.95, 2)
    time.sleep(_dice.uniform(0.02, 0.06))
    if order["card"] == "declined":
        raise PaymentDeclinedError(f"the bank declined {amount:.2f}")
    if order["card"] == "slow":
        log.warning("the bank is slow", extra={"amount": amount})
        time.sleep(_dice.uniform(0.4, 0.7))
    if order["card"] == "silent":
        threading.Event().wait()  # simulates a request without a timeout to a bank that never answers
    return amount


def main() -> None:
    """Serves on a free port until stdin closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stock", required=True, metavar="URL")
    parser.add_argument("--shipping", required=True, metavar="PORT", type=int)
    arguments = parser.parse_args()

    # No fallback: spooled records of one demo would appear in the next.
    telemetry = configure_telemetry(service_name="shop", service_version="1.4.0", fallback=())
    log.setLevel(logging.DEBUG)
    RequestsInstrumentor().instrument()

    parent = ParentLink(telemetry)
    with Outbox(arguments.shipping) as shipments:
        server = make_server("127.0.0.1", 0, create_app(arguments.stock, shipments), threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        parent.ready(server.port)
        parent.wait()
        server.shutdown()
    parent.close()


if __name__ == "__main__":
    main()
