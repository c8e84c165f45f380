"""What is known of every item: whether it was sent, acknowledged or refused, or destroyed in the spool."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from otelgres.collector.tools.chaos.items import ItemKind

_SENT: Final = 1
_ACKED: Final = 2
_REFUSED: Final = 4
_DAMAGED: Final = 8


class SentLedger:
    """One byte an item. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: dict[ItemKind, bytearray] = {kind: bytearray() for kind in ItemKind}
        self.answers: Counter[str] = Counter()
        """How often each answer was heard."""
        self.odd: list[str] = []
        """Answers that a right receiver does not give: valid items refused, invalid ones taken."""
        self.events: Counter[str] = Counter()
        """Requests by what was special about them: duplicates, regrouped, poison, retries."""
        self.damaged_batches = 0
        """Spooled batches that were destroyed on the disk: the receiver has to count as many."""

    def take(self, kind: ItemKind, count: int) -> range:
        """Numbers for new items, which count as sent from now on."""
        with self._lock:
            items = self._items[kind]
            first = len(items)
            items.extend(bytes((_SENT,)) * count)
            return range(first, first + count)

    def acked(self, kind: ItemKind, numbers: Iterable[int]) -> None:
        """The receiver answered for them: from now on they must be there."""
        self._mark(kind, numbers, _ACKED)

    def refused(self, kind: ItemKind, numbers: Iterable[int], why: str) -> None:
        """A final refusal of items that were valid."""
        self._mark(kind, numbers, _REFUSED)
        self.report_unexpected(f"{kind.value}: valid items were refused: {why}")

    def damaged(self, items: Iterable[tuple[ItemKind, int]]) -> None:
        """A spooled batch with these items was destroyed on the disk."""
        with self._lock:
            self.damaged_batches += 1
        for kind, number in items:
            self._mark(kind, (number,), _DAMAGED)

    def heard(self, answer: str) -> None:
        """Counts an answer."""
        with self._lock:
            self.answers[answer] += 1

    def happened(self, event: str) -> None:
        """Counts a request of a special sort."""
        with self._lock:
            self.events[event] += 1

    def report_unexpected(self, what: str) -> None:
        """Notes an answer that is wrong in itself."""
        with self._lock:
            self.odd.append(what)

    def sent_count(self, kind: ItemKind) -> int:
        """How many items of a kind there are."""
        return len(self._items[kind])

    def acked_numbers(self, kind: ItemKind) -> set[int]:
        """The numbers of what was acknowledged."""
        return set(self._numbers(kind, _ACKED))

    def refused_numbers(self, kind: ItemKind) -> set[int]:
        """The numbers of what was refused for good and never acknowledged."""
        return set(self._numbers(kind, _REFUSED)) - self.acked_numbers(kind)

    def damaged_numbers(self, kind: ItemKind) -> set[int]:
        """The numbers of what was in damaged batches."""
        return set(self._numbers(kind, _DAMAGED))

    def acked_total(self) -> int:
        """How many items of all kinds were acknowledged."""
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
