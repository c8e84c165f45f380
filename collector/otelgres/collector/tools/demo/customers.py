"""Customers of the sample shop: orders over plain HTTP at a steady pace, the same ones in each run.

They send no telemetry, so what they count is a second opinion on what the shop says of itself. Refuses to know how the
shop works.
"""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_PER_SECOND = 8.0
_AT_ONCE = 16
_TIMEOUT = 20.0  # seconds until a customer gives up; on an idle machine the slowest answer takes one
_SHORT_TIMEOUT = 2.0  # with a card on which the bank never answers

# The first second has one of everything, so that the shortest run shows it all.
_FIRST = (
    {"item": "apples", "quantity": 2, "card": "good"},
    {"item": "coffee", "quantity": 1, "card": "declined"},
    {"item": "bread", "quantity": 1, "card": "silent"},
    {"item": "ice cream", "quantity": 3, "card": "slow"},
    {"item": "fireworks", "quantity": 5, "card": "good"},
    {"item": "apples", "quantity": 0, "card": "good"},
)


def orders(seed: int) -> Iterator[dict[str, Any]]:
    """Orders without end; ``seed`` decides them."""
    yield from _FIRST
    dice = random.Random(seed)  # noqa: S311 — the same orders in each run
    while True:
        yield {
            "item": dice.choices(("apples", "bread", "coffee", "ice cream", "fireworks"), (30, 30, 30, 7, 3))[0],
            "quantity": dice.randint(1, 5),
            "card": dice.choices(("good", "declined", "slow"), (88, 6, 6))[0],
        }


class Customers:
    """Everybody who orders at the shop on ``port`` of loopback. ``answers`` counts outcomes and "no answer"."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self._port = port
        self._orders = orders(seed)
        self._lock = threading.Lock()
        self.answers: Counter[str] = Counter()

    def come(self, seconds: float, progress: Callable[[float, int], None]) -> None:
        """Orders for ``seconds`` and returns when all answers are there, or given up on.

        ``progress`` is told the seconds left and the orders placed, once a second.
        """
        pause = threading.Event()
        began = time.monotonic()
        placed = 0
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="customer") as pool:
            try:
                while (due := placed / _PER_SECOND) < seconds:
                    pause.wait(max(0.0, began + due - time.monotonic()))
                    pool.submit(self._order, next(self._orders))
                    placed += 1
                    if placed % int(_PER_SECOND) == 1:
                        progress(seconds - due, placed)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _order(self, order: dict[str, Any]) -> None:
        timeout = _SHORT_TIMEOUT if order["card"] == "silent" else _TIMEOUT
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request("POST", "/orders", json.dumps(order), {"Content-Type": "application/json"})
            outcome = str(json.loads(connection.getresponse().read())["outcome"])
        except (OSError, http.client.HTTPException):
            outcome = "no answer"
        except (ValueError, KeyError):
            outcome = "no sense"
        finally:
            connection.close()
        with self._lock:
            self.answers[outcome] += 1
