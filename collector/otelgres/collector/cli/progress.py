"""Progress on stderr: a bar with rate and time left on a terminal, a line every few seconds in a pipe."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

_Item = TypeVar("_Item")
_LINE_SECONDS: Final = 5.0


class Advance:
    """Callback of the work: ``advance(3)`` adds three. ``total`` may be set or changed at any time."""

    def __init__(self, title: str, total: float | None, bar: "Progress | None") -> None:
        self._title = title
        self._bar = bar
        self._task = bar.add_task(title, total=total, rate="") if bar else None
        self._began = self._printed_at = time.monotonic()
        self.total = total
        self.done = 0.0

    def __call__(self, amount: float = 1) -> None:
        self.done += amount
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, total=self.total, rate=self.rate)
        elif time.monotonic() - self._printed_at >= _LINE_SECONDS:
            self._printed_at = time.monotonic()
            self._line()

    @property
    def rate(self) -> str:
        """The rate as text."""
        seconds = time.monotonic() - self._began
        return f"{self.done / seconds:,.0f}/s" if seconds > 0 else ""

    def _line(self) -> None:
        of = f" of {self.total:,.0f}" if self.total else ""
        left = ""
        if self.total and self.done:
            seconds = (time.monotonic() - self._began) * (self.total - self.done) / self.done
            left = f", {max(0.0, seconds):,.0f} s left"
        print(f"{self._title}: {self.done:,.0f}{of}, {self.rate}{left}", file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: float | None = None) -> Iterator[Advance]:
    """Shows the progress of the block; nothing is shown if it ends at once."""
    if not sys.stderr.isatty():
        yield Advance(title, total, None)
        return
    # Only here: a command in a pipe shall not wait for what draws.
    from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from otelgres.collector.inspect.console import TerminalConsole

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=TerminalConsole(stderr=True),
        transient=True,
    )
    with bar:
        yield Advance(title, total, bar)


def over(items: Iterable[_Item], title: str, total: float | None = None) -> Iterator[_Item]:
    """Yields the items and shows progress."""
    with progress(title, total) as advance:
        for item in items:
            yield item
            advance()
