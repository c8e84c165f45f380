"""The rows of a request that is decoded in parts, so that its size and not its content determines the memory."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from otelgres.exporters.batch import Batch
from otelgres.exporters.postgres.codec.rows import Group, LossCounts, RejectedItems

# Rows of up to so many bytes are kept until they are copied; more are made a second time, part by part.
_FACTOR: Final = 2
_CONSTANT: Final = 12 * 1024 * 1024


class LargeRows:
    """Collects the parts of one batch; nothing is added to ``group`` before :meth:`finish`."""

    def __init__(self, batch: Batch, group: Group) -> None:
        self._group = group
        self._room = _FACTOR * len(batch.payload) + _CONSTANT
        self._pieces: dict[str, list[bytes]] = {}
        self._counts: Counter[str] = Counter()
        self._losses = LossCounts()
        self._days: dict[str, set[int]] = {}
        self._rejected = RejectedItems()

    def add(self, part: Group, rejected: RejectedItems) -> None:
        """Adds the rows of the next part."""
        self._rejected += rejected
        self._losses.add_all(part.losses)
        self._counts += part.counts
        for table, days in part.days.items():
            self._days.setdefault(table, set()).update(days)
        for table, parts in part.parts.items():
            piece = b"".join(parts)
            self._room -= len(piece)
            if self._room >= 0:
                self._pieces.setdefault(table, []).append(piece)
        if self._room < 0:
            self._pieces.clear()

    def finish(self, again: Callable[[], Iterator[Group]]) -> RejectedItems:
        """Adds everything to the group; ``again`` makes the parts again if they were too large to keep."""
        group = self._group
        group.losses.add_all(self._losses)
        for table, days in self._days.items():
            group.days.setdefault(table, set()).update(days)
        if self._room < 0:
            group.again.append(again)
        else:
            group.counts += self._counts
            for table, pieces in self._pieces.items():
                group.large.setdefault(table, []).extend(pieces)
        return self._rejected
