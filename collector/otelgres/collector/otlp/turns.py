"""Turns of tasks in one event loop, shared between senders (see ``fair_turns``) and limited in time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from otelgres.collector.otlp.deadline import SharedDeadline
from otelgres.collector.otlp.fair_turns import OVER_SHARE_SECONDS, FairTurns, State, TooManyWaiting, Turn

T = TypeVar("T")

# One turn to so many others is reserved for senders that hold none.
_RESERVED: Final = 4


def all_turns(turns: int) -> int:
    """How many turns there are with the reserved ones."""
    return turns + max(1, turns // _RESERVED)


class GaveWay(Exception):  # noqa: N818 (not an error of the receiver)
    """The turn was ended, or not given, because other senders have had less."""


class TaskTurns:
    """``turns`` at once, a quarter more for senders that hold none, and ``waiting`` tasks that wait.

    ``seconds`` limits waiting and turn together; if turns do not end ``early``, it limits waiting only.
    """

    def __init__(self, turns: int, waiting: int, seconds: float, *, early: bool = True) -> None:
        self._turns = FairTurns(turns, all_turns(turns) - turns, waiting)
        self._deadline = SharedDeadline(seconds)
        self._early = early
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[Turn, asyncio.Task[object]] = {}
        self._granted: dict[Turn, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, sender: str, work: Callable[[], Awaitable[T]]) -> T:
        """The result of ``work``, which is called in a turn of the sender. Raises GaveWay or TimeoutError.

        Only one at a time in a task.
        """
        try:
            turn = self._turns.ask(sender, self._changed)
        except TooManyWaiting:
            raise GaveWay from None
        task = asyncio.current_task()
        assert task is not None
        self._tasks[turn] = task
        try:
            with self._deadline:
                if turn.state is State.WAITING:
                    granted = self._granted[turn] = self._loop.create_future()
                    self._watch()
                    await granted
                if self._early:
                    return await work()
            return await work()
        except TimeoutError:
            if turn.state is State.GAVE_WAY:
                raise GaveWay from None
            raise
        finally:
            self._granted.pop(turn, None)
            del self._tasks[turn]
            self._turns.leave(turn)
            self._watch()

    def _changed(self, turn: Turn) -> None:
        if turn.state is State.GAVE_WAY:
            self._deadline.interrupt(self._tasks[turn])
        elif not (granted := self._granted[turn]).done():
            granted.set_result(None)

    def _watch(self) -> None:
        if self._early and self._timer is None and self._turns.waiting:
            self._check()

    def _check(self) -> None:
        self._timer = None
        seconds = self._turns.preempt()
        if seconds is not None:
            # A sender that begins to wait may have a turn to claim before the one that this is for.
            self._timer = self._loop.call_later(min(seconds, OVER_SHARE_SECONDS), self._check)
