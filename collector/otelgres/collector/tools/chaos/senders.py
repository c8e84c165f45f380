"""Clients that send until they are stopped, record results in the ledger, and retry as OTLP requires.

Besides new requests they send what networks and Collectors produce: duplicates, regrouped items, malformed bytes.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from otelgres.collector.tools.chaos.items import ItemKind, Items
from otelgres.collector.tools.chaos.ledger import SentLedger
from otelgres.collector.tools.chaos.transports import Answer, ChaosTransport, Grpc, Http
from otelgres.exporters.batch import Signal

_HISTORY: Final = 200
_SIZES: Final = (1, 5, 20, 60, 120)
_SHORTEST_WAIT, _LONGEST_WAIT = 0.05, 0.6
# After this many attempts a Collector may have split the batch.
_SPLIT_AFTER: Final = 3
_KINDS: Final = (
    ItemKind.SPAN,
    ItemKind.SPAN,
    ItemKind.LOG,
    ItemKind.LOG_WITHOUT_UID,
    ItemKind.LOG_WITHOUT_UID,
    ItemKind.POINT,
)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that was sent or is being sent by another thread."""

    kind: ItemKind
    numbers: tuple[int, ...]
    invalid: int
    payload: bytes
    encoding: str


class Senders:
    """Threads with one transport each; ``pace`` is the pause (s) between two requests of a thread."""

    def __init__(self, items: Items, ledger: SentLedger, grpc: str, http: str, *, count: int, pace: float) -> None:
        self._items = items
        self._ledger = ledger
        self._pace = pace
        self._history: deque[_Request] = deque(maxlen=_HISTORY)
        self._stop = threading.Event()
        self._give_up = threading.Event()
        transports: list[Callable[[], ChaosTransport]] = [
            lambda: Grpc(grpc),
            lambda: Http(http, as_json=False),
            lambda: Http(http, as_json=True),
        ]
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(transports[number % len(transports)], random.Random(items.seed * 1000 + number)),  # noqa: S311 (repeatable)
                name=f"sender-{number}",
                daemon=True,
            )
            for number in range(count)
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def finish(self, seconds: float) -> bool:
        """Stops new requests and waits for pending answers; returns whether all arrived within ``seconds``."""
        self._stop.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        done = not any(thread.is_alive() for thread in self._threads)
        self._give_up.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_LONGEST_WAIT + 15.0)
        return done

    def _run(self, make_transport: Callable[[], ChaosTransport], rng: random.Random) -> None:
        transport = make_transport()
        try:
            while not self._stop.wait(self._pace * rng.uniform(0.5, 1.5)):
                self._one(transport, rng)
        finally:
            transport.close()

    def _one(self, transport: ChaosTransport, rng: random.Random) -> None:
        chance = rng.random()
        if chance < 0.15 and self._history:
            earlier = rng.choice(list(self._history))
            # Digests match only for the same encoding: JSON is converted to other protobuf bytes on arrival.
            if earlier.kind.has_key or earlier.encoding == transport.encoding:
                self._ledger.count_request("duplicates")
                self._deliver(transport, rng, earlier)
        elif chance < 0.25:
            self._regrouped(transport, rng)
        elif chance < 0.28:
            self._send_invalid(transport, rng)
        else:
            kind = rng.choice(_KINDS)
            numbers = self._ledger.take(kind, rng.choice(_SIZES))
            invalid = rng.randint(1, 3) if kind is ItemKind.SPAN and rng.random() < 0.1 else 0
            self._ledger.count_request("fresh")
            self._deliver(transport, rng, self._request(transport, kind, numbers, invalid))

    def _regrouped(self, transport: ChaosTransport, rng: random.Random) -> None:
        """Sends parts of several requests in one, as a Collector may do in a retry."""
        kind = rng.choice([kind for kind in _KINDS if kind.has_key])
        parts = [request for request in list(self._history) if request.kind is kind]
        if not parts:
            return
        numbers = [number for part in rng.sample(parts, min(3, len(parts))) for number in part.numbers]
        chosen = rng.sample(numbers, rng.randint(1, len(numbers)))
        self._ledger.count_request("regrouped")
        self._deliver(transport, rng, self._request(transport, kind, list(dict.fromkeys(chosen)), 0))

    def _send_invalid(self, transport: ChaosTransport, rng: random.Random) -> None:
        self._ledger.count_request("invalid")
        answer = self._insist(transport, rng, rng.choice(list(Signal)), b"\x0a\xff\xff\xff\xff\x0f" + rng.randbytes(40))
        if answer is not None and answer.accepted:
            self._ledger.report_unexpected(f"malformed bytes were accepted ({answer.status})")

    def _request(self, transport: ChaosTransport, kind: ItemKind, numbers: Sequence[int], invalid: int) -> _Request:
        payload = self._items.request(kind, numbers, invalid)
        request = _Request(kind, tuple(numbers), invalid, payload, transport.encoding)
        # Added before sending, so that other threads may send the same items at the same time.
        self._history.append(request)
        return request

    def _deliver(self, transport: ChaosTransport, rng: random.Random, request: _Request) -> None:
        splits = request.kind.has_key and len(request.numbers) > 1 and not request.invalid and rng.random() < 0.3
        answer = self._insist(
            transport, rng, request.kind.signal, request.payload, attempts=_SPLIT_AFTER if splits else None
        )
        if answer is None:
            if splits and not self._give_up.is_set():
                self._ledger.count_request("split")
                middle = len(request.numbers) // 2
                for half in (request.numbers[middle:], request.numbers[:middle]):
                    self._deliver(transport, rng, self._request(transport, request.kind, half, 0))
        elif not answer.accepted:
            self._ledger.rejected(request.kind, request.numbers, f"{answer.status} {answer.message}")
        # A duplicate request is acknowledged without repeating its number of rejected items.
        elif answer.rejected not in (0, request.invalid):
            self._ledger.report_unexpected(
                f"{answer.rejected} rejected where {request.invalid} were invalid ({answer.status})"
            )
        else:
            self._ledger.acked(request.kind, request.numbers)

    def _insist(
        self, transport: ChaosTransport, rng: random.Random, signal: Signal, payload: bytes, attempts: int | None = None
    ) -> Answer | None:
        """Retries until a final answer; returns None after ``attempts`` attempts or when stopped."""
        wait = _SHORTEST_WAIT
        tried = 0
        while not self._give_up.is_set():
            answer = transport.send(signal, payload)
            self._ledger.count_answer(answer.status)
            if answer.final:
                return answer
            tried += 1
            if tried == attempts:
                return None
            self._give_up.wait(wait * rng.uniform(0.5, 1.0))
            wait = min(wait * 2, _LONGEST_WAIT)
        return None
