"""Customers of the sample shop: place orders over HTTP at a steady rate, the same orders in each run.

They send no telemetry, so their counts are an independent check of the shop's.
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
_TIMEOUT = 20.0  # seconds; on an idle machine the slowest answer takes one
_SHORT_TIMEOUT = 2.0  # for a card for which the bank never answers

# The first second has one order of each kind, so that the shortest run shows them all.
_FIRST = (
    {"item": "apples", "quantity": 2, "card": "good"},
    {"item": "coffee", "quantity": 1, "card": "declined"},
    {"item": "bread", "quantity": 1, "card": "silent"},
    {"item": "ice cream", "quantity": 3, "card": "slow"},
    {"item": "fireworks", "quantity": 5, "card": "good"},
    {"item": "apples", "quantity": 0, "card": "good"},
)


def orders(seed: int) -> Iterator[dict[str, Any]]:
    """Yields orders for ever, determined by ``seed``."""
    yield from _FIRST
    dice = random.Random(seed)  # noqa: S311 — the same orders in each run
    while True:
        yield {
            "item": dice.choices(("apples", "bread", "coffee", "ice cream", "fireworks"), (30, 30, 30, 7, 3))[0],
            "quantity": dice.randint(1, 5),
            "card": dice.choices(("good", "declined", "slow"), (88, 6, 6))[0],
        }


class Customers:
    """Customers of the shop on loopback ``port``. ``answers`` counts outcomes, including "no answer"."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self._port = port
        self._orders = orders(seed)
        self._lock = threading.Lock()
        self.answers: Counter[str] = Counter()

    def come(self, seconds: float, progress: Callable[[float, int], None]) -> None:
        """Places orders for ``seconds`` and returns when all are answered or have timed out.

        Calls ``progress`` once a second with the seconds left and the orders placed.
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
            outcome = "invalid answer"
        finally:
            connection.close()
        with self._lock:
            self.answers[outcome] += 1
