"""One patience for many tasks: whoever is at it for too long is interrupted, with one timer for all of them.

``asyncio.timeout`` says the same at 5 us a request, for timers that practically never fire; this costs less than 1.
Refuses to know what the tasks do.
"""

import asyncio
from types import TracebackType
from typing import Any


class SharedDeadline:
    """A context manager around what a task does, of which any number may be inside at once; not for nesting.

    Inside for ``seconds`` or a little longer (a sixteenth at most), the task is interrupted: TimeoutError.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        # In the order of their entering, so that only the first ones need to be looked at.
        self._since: dict[asyncio.Task[Any], float] = {}
        self._interrupted: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._since[task] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._check)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._since.pop(task, None) is None and task in self._interrupted:
            self._interrupted.discard(task)
            # Somebody else may have cancelled it as well, and that is not ours to swallow.
            if task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _check(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._since:
            task, since = next(iter(self._since.items()))
            if since + self._seconds > now:
                # Not for each of them at its own moment: under load that would be a timer for each again.
                wait = max(since + self._seconds - now, self._seconds / 16)
                self._timer = self._loop.call_later(wait, self._check)
                return
            del self._since[task]
            self._interrupted.add(task)
            task.cancel()
