"""Shares a number of turns between senders, without threads or an event loop: the caller says what has happened.

A turn goes to the waiting sender that holds the fewest; among equals, to the one whose last turn is longest ago. A
sender alone may hold all turns. Some more are reserved for senders that hold none. If a sender waits while another
holds more and would still do so afterwards, the other's oldest turns are ended once they are as old as the limit: one,
or as many as leave the reserved ones free. If all turns are held by senders with one each, the oldest ends after a
longer limit.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

OVER_SHARE_SECONDS: Final = 1.0
WITHIN_SHARE_SECONDS: Final = 10.0


class State(Enum):
    """What has become of a turn."""

    WAITING = auto()
    HELD = auto()
    # Ended for another sender, while waiting or held.
    GAVE_WAY = auto()
    LEFT = auto()


@dataclass(slots=True, eq=False)
class Turn:
    """A sender's turn. ``changed`` is called when it is granted later, or gives way; ``since``: when it was granted."""

    sender: str
    changed: Callable[["Turn"], None]
    state: State = State.WAITING
    since: float = field(default=0.0)


class TooManyWaiting(Exception):  # noqa: N818 (not an error of the receiver)
    """No place to wait is left, and the sender has as many as any other."""


class FairTurns:
    """At most ``turns`` turns, ``reserved`` more for senders that hold none, and ``waiting`` places to wait.

    If all places are taken, the newest one of the sender with the most gives way. Nothing is kept of senders without a
    turn or place.
    """

    def __init__(self, turns: int, reserved: int, waiting: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._turns = turns
        self._reserved = reserved
        self._places = waiting
        self._clock = clock
        # By sender, the oldest first. The order of the waiting senders is that of their last turns.
        self._held: dict[str, dict[Turn, None]] = {}
        self._waiting: dict[str, dict[Turn, None]] = {}
        self.held = 0
        self.waiting = 0

    def ask(self, sender: str, changed: Callable[[Turn], None]) -> Turn:
        """A turn that is held, or waits. Raises TooManyWaiting."""
        turn = Turn(sender, changed)
        if self._free_for(sender):
            self._grant(turn)
            return turn
        own = self._waiting.get(sender, {})
        if self.waiting >= self._places:
            most = max(self._waiting.values(), key=len, default=own)
            if len(most) <= len(own) + 1:
                raise TooManyWaiting
            self._give_way(next(reversed(most)))
        self._waiting.setdefault(sender, {})[turn] = None
        self.waiting += 1
        return turn

    def leave(self, turn: Turn) -> None:
        """Gives the turn, or the place, back."""
        if turn.state in (State.HELD, State.WAITING):
            self._remove(turn)
            turn.state = State.LEFT
            self._grant_free()

    def preempt(self) -> float | None:
        """Ends the turns that have to give way now; returns the seconds until another may have to, None if never."""
        while self.waiting:
            sender = self._next()
            holds = len(self._held.get(sender, ()))
            most = max(self._held.values(), key=len)
            # So many have to end for the sender to be granted one.
            needed = self.held - self._turns + 1 if holds else 1
            if len(most) - holds > needed:
                ending, limit = list(itertools.islice(most, needed)), OVER_SHARE_SECONDS
            elif holds == 0:
                oldest = min((next(iter(turns)) for turns in self._held.values()), key=lambda turn: turn.since)
                ending, limit = [oldest], WITHIN_SHARE_SECONDS
            else:
                return None
            left = ending[-1].since + limit - self._clock()
            if left > 0:
                return left
            for turn in ending:
                self._give_way(turn)
            self._grant_free()
        return None

    def _free_for(self, sender: str) -> bool:
        return self.held < self._turns or (self.held < self._turns + self._reserved and sender not in self._held)

    def _next(self) -> str:
        return min(self._waiting, key=lambda sender: len(self._held.get(sender, ())))

    def _grant_free(self) -> None:
        while self.waiting and self._free_for(sender := self._next()):
            turn = next(iter(self._waiting[sender]))
            self._remove(turn)
            self._grant(turn)
            if sender in self._waiting:
                self._waiting[sender] = self._waiting.pop(sender)
            turn.changed(turn)

    def _grant(self, turn: Turn) -> None:
        turn.state, turn.since = State.HELD, self._clock()
        self._held.setdefault(turn.sender, {})[turn] = None
        self.held += 1

    def _give_way(self, turn: Turn) -> None:
        self._remove(turn)
        turn.state = State.GAVE_WAY
        turn.changed(turn)

    def _remove(self, turn: Turn) -> None:
        if turn.state is State.HELD:
            turns, self.held = self._held, self.held - 1
        else:
            turns, self.waiting = self._waiting, self.waiting - 1
        own = turns[turn.sender]
        del own[turn]
        if not own:
            del turns[turn.sender]
