"""The requests that wait for a writer, in the order in which they are written: fair between senders by bytes.

Start-time fair queueing: each sender has a tag, the bytes it has been served; the next request is that of the sender
with the smallest one. A sender that begins to wait starts at the present tag, so it cannot save up turns.
"""

import heapq
import itertools
from collections import defaultdict, deque
from collections.abc import Container, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# Tags of senders without a waiting request that have been served more than others.
_MOST_TAGS: Final = 4096


class FairQueue(Generic[T]):
    """Waiting items with sizes, by sender; the order within a sender is kept."""

    def __init__(self) -> None:
        self._items: dict[str, deque[tuple[T, int]]] = {}
        self._bytes: dict[str, int] = {}
        # (tag, number, sender), one for each sender that waits; the number keeps the order among equals.
        self._heap: list[tuple[int, int, str]] = []
        self._numbers = itertools.count()
        self._now = 0
        self._ahead: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def senders(self) -> int:
        """How many senders wait."""
        return len(self._items)

    def bytes_of(self, sender: str) -> int:
        """Bytes of the sender's waiting items."""
        return self._bytes.get(sender, 0)

    def oldest(self) -> Iterator[T]:
        """The first item of each sender."""
        return (items[0][0] for items in self._items.values())

    def append(self, sender: str, item: T, size: int) -> None:
        """Adds the sender's last item."""
        items = self._items.get(sender)
        if items is None:
            items = self._items[sender] = deque()
            self._bytes[sender] = 0
            tag = max(self._now, self._ahead.pop(sender, 0))
            heapq.heappush(self._heap, (tag, next(self._numbers), sender))
        items.append((item, size))
        self._bytes[sender] += size

    def take(self, most: int, share: int, small: Container[str] = (), small_share: int = 0) -> list[tuple[T, str, int]]:
        """Removes the next items, of at most ``most`` bytes, and returns them in order with sender and size.

        Of one sender at most ``share`` bytes, of the senders in ``small`` at most ``small_share``. An item larger than
        ``share`` is taken alone of its sender, one larger than ``most`` alone, and none larger than ``small_share`` of
        those.
        """
        taken: list[tuple[T, str, int]] = []
        total = 0
        own: defaultdict[str, int] = defaultdict(int)
        passed: list[tuple[int, int, str]] = []
        while self._heap:
            tag, number, sender = self._heap[0]
            item, size = self._items[sender][0]
            limit = small_share if sender in small else share if sender in own else max(share, size)
            if own.get(sender, 0) + size > limit:
                passed.append(heapq.heappop(self._heap))
                continue
            if taken and total + size > most:
                break
            self._now = max(self._now, tag)
            own[sender] += size
            self._shift(sender)
            tag += max(size, 1)
            if sender in self._items:
                heapq.heapreplace(self._heap, (tag, number, sender))
            else:
                heapq.heappop(self._heap)
                self._ahead[sender] = tag
            taken.append((item, sender, size))
            total += size
        for entry in passed:
            heapq.heappush(self._heap, entry)
        self._forget()
        return taken

    def drop_largest(self, below: int) -> tuple[T, int] | None:
        """Removes the last item of the sender with the most bytes, if these are more than ``below``."""
        sender = max(self._bytes, key=self._bytes.__getitem__, default=None)
        if sender is None or self._bytes[sender] <= below:
            return None
        items = self._items[sender]
        item, size = items.pop()
        self._bytes[sender] -= size
        if not items:
            tag = next(entry for entry in self._heap if entry[2] == sender)
            self._heap.remove(tag)
            heapq.heapify(self._heap)
            self._remove(sender)
        return item, size

    def clear(self) -> list[T]:
        """Removes and returns all items."""
        left = [item for items in self._items.values() for item, _ in items]
        for state in (self._items, self._bytes, self._heap, self._ahead):
            state.clear()
        return left

    def _shift(self, sender: str) -> None:
        _, size = self._items[sender].popleft()
        self._bytes[sender] -= size
        if not self._items[sender]:
            self._remove(sender)

    def _remove(self, sender: str) -> None:
        del self._items[sender], self._bytes[sender]

    def _forget(self) -> None:
        if not self._items:
            # Nobody waits, so nobody was passed over.
            self._ahead.clear()
        elif len(self._ahead) > _MOST_TAGS:
            self._ahead = {sender: tag for sender, tag in self._ahead.items() if tag > self._now}
            # Half of the most, so that this is done rarely.
            for sender in sorted(self._ahead, key=self._ahead.__getitem__)[: -(_MOST_TAGS // 2)]:
                del self._ahead[sender]
