"""The senders' record of which items were sent, acknowledged or rejected, and which were destroyed in the spool."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from otelgres.collector.tools.chaos.items import ItemKind

_SENT: Final = 1
_ACKED: Final = 2
_REJECTED: Final = 4
_DAMAGED: Final = 8


class SentLedger:
    """Stores one byte per item. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: dict[ItemKind, bytearray] = {kind: bytearray() for kind in ItemKind}
        self.answers: Counter[str] = Counter()
        """Number of times by answer."""
        self.unexpected: list[str] = []
        """Unexpected answers: valid items rejected, invalid ones accepted."""
        self.events: Counter[str] = Counter()
        """Number of requests by type: fresh, duplicates, regrouped, invalid, split."""
        self.damaged_batches = 0
        """Spooled batches destroyed on the disk; the receiver must count as many."""

    def take(self, kind: ItemKind, count: int) -> range:
        """Numbers for new items, which are marked as sent."""
        with self._lock:
            items = self._items[kind]
            first = len(items)
            items.extend(bytes((_SENT,)) * count)
            return range(first, first + count)

    def acked(self, kind: ItemKind, numbers: Iterable[int]) -> None:
        """Marks items as acknowledged: they must be stored."""
        self._mark(kind, numbers, _ACKED)

    def rejected(self, kind: ItemKind, numbers: Iterable[int], why: str) -> None:
        """Marks valid items as permanently rejected, which is unexpected."""
        self._mark(kind, numbers, _REJECTED)
        self.report_unexpected(f"{kind.value}: valid items were rejected: {why}")

    def damaged(self, items: Iterable[tuple[ItemKind, int]]) -> None:
        """A spooled batch with these items was destroyed on the disk."""
        with self._lock:
            self.damaged_batches += 1
        for kind, number in items:
            self._mark(kind, (number,), _DAMAGED)

    def count_answer(self, answer: str) -> None:
        """Counts an answer."""
        with self._lock:
            self.answers[answer] += 1

    def count_request(self, event: str) -> None:
        """Counts a request by its type."""
        with self._lock:
            self.events[event] += 1

    def report_unexpected(self, what: str) -> None:
        """Records an unexpected answer."""
        with self._lock:
            self.unexpected.append(what)

    def sent_count(self, kind: ItemKind) -> int:
        """The number of items of a kind."""
        return len(self._items[kind])

    def acked_numbers(self, kind: ItemKind) -> set[int]:
        """The numbers of acknowledged items."""
        return set(self._numbers(kind, _ACKED))

    def rejected_numbers(self, kind: ItemKind) -> set[int]:
        """The numbers of items that were permanently rejected and never acknowledged."""
        return set(self._numbers(kind, _REJECTED)) - self.acked_numbers(kind)

    def damaged_numbers(self, kind: ItemKind) -> set[int]:
        """The numbers of what was in damaged batches."""
        return set(self._numbers(kind, _DAMAGED))

    def acked_total(self) -> int:
        """The number of acknowledged items of all kinds."""
        with self._lock:
            unknown = (_SENT, _SENT | _DAMAGED)
            return sum(len(items) - sum(map(items.count, unknown)) for items in self._items.values())

    def _numbers(self, kind: ItemKind, flag: int) -> Iterator[int]:
        return (number for number, state in enumerate(self._items[kind]) if state & flag)

    def _mark(self, kind: ItemKind, numbers: Iterable[int], flag: int) -> None:
        with self._lock:
            items = self._items[kind]
            for number in numbers:
                items[number] |= flag
