"""Shares a limited quantity, such as connections or bytes, between its users, each known by a name."""

from typing import Final

# Alone a user gets three quarters of all, the next one three quarters of the rest.
_TIMES_FREE: Final = 3


class Shares:
    """At most ``most`` in all. A user may take more until it holds three times what is free.

    So one user alone gets three quarters, and others find something free however much it takes. Users that hold nothing
    are not remembered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0
        self._held_by: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._held_by)

    def take(self, user: str, size: int, *, at_once: int = 0) -> bool:
        """Takes ``size`` for the user, or returns False. ``at_once``: what the user has taken for the same thing.

        A user with nothing else may go up to ``most``: one thing may be as large as that.
        """
        own = self._held_by.get(user, 0)
        free = self._most - self.held
        if size > free or (own + size > _TIMES_FREE * free and own > at_once):
            return False
        self.held += size
        self._held_by[user] = own + size
        return True

    def give_back(self, user: str, size: int) -> None:
        """Gives back what the user has taken."""
        self.held -= size
        own = self._held_by[user] - size
        if own:
            self._held_by[user] = own
        else:
            del self._held_by[user]
