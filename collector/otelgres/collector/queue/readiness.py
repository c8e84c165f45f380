"""Whether a batch handed in now would be stored: in the database, or in the spool while the database is away.

The writers' own requests are the first evidence. The database is asked only if they have stored nothing for a second,
and at most once a second, however many ask: they share one check.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from otelgres.collector.database.probe import DatabaseProbe, DatabaseState
from otelgres.collector.queue.availability import Availability
from otelgres.collector.queue.group_commit import QueueState
from otelgres.exporters.spool.queue import SpoolQueue

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 1.0
# Clients give up after 10 s. A slow answer counts as long, unless a faster one follows: the next may be slow too.
_STUCK_SECONDS: Final = 5.0
# `otelgres healthcheck` waits for 3 s.
_CHECK_SECONDS: Final = 2.5


class Storing(NamedTuple):
    """``into``: ``database``, ``spool`` or ``nothing``; ``reason``: why not into the database."""

    into: str
    database: str
    reason: str = ""


class Queue(Protocol):
    """What is known of the requests that wait."""

    def state(self) -> QueueState: ...


class Readiness:
    """Of one receiver, in one event loop. ``schema_known``: whether the database has been reached and migrated once."""

    def __init__(
        self,
        queue: Queue,
        spool: SpoolQueue,
        availability: Availability,
        probe: DatabaseProbe,
        schema_known: Callable[[], bool],
    ) -> None:
        self._queue = queue
        self._spool = spool
        self._availability = availability
        self._probe = probe
        self._schema_known = schema_known
        self._checking: asyncio.Task[None] | None = None
        self._found = Storing("nothing", "unknown", "not checked yet")
        self._found_at = self._began_at = float("-inf")

    async def check(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the receiver is ready, and the details for ``/readyz``. Waits at most 2.5 seconds."""
        if time.monotonic() - self._found_at >= _FRESH_SECONDS:
            await self._shared_check()
        found, known = self._found, self._schema_known()
        detail = {"database": found.database, "schema": known, "storing": found.into}
        if found.reason:
            detail["reason"] = found.reason
        # A receiver that has never reached its database may have the address of another one.
        return known and found.into != "nothing", detail

    async def _shared_check(self) -> None:
        if self._checking is None:
            self._began_at = time.monotonic()
            self._checking = asyncio.create_task(self._check(), name="readiness")
        left = self._began_at + _CHECK_SECONDS - time.monotonic()
        done, _ = await asyncio.wait([self._checking], timeout=max(left, 0))
        if not done:
            self._found = Storing("nothing", "unknown", f"no answer within {_CHECK_SECONDS:g} s")

    async def _check(self) -> None:
        try:
            self._found = await asyncio.to_thread(self._storing)
        except Exception:
            log.exception("whether batches can be stored could not be checked")
            self._found = Storing("nothing", "unknown", "unexpected error; see the receiver's log")
        self._found_at = time.monotonic()
        self._checking = None

    def close(self) -> None:
        """Closes the connection, unless a check is still running."""
        self._probe.close()

    def _storing(self) -> Storing:
        state = self._queue.state()
        stuck = _stuck(state)
        if not self._availability.available:
            return self._spooling(stuck)
        if not stuck and state.stored and state.ago < _FRESH_SECONDS:
            return Storing("database", "reachable")
        database = self._probe.check()
        if database is DatabaseState.UNAVAILABLE:
            return self._spooling(stuck)
        if database is DatabaseState.LOCKED:
            stuck = stuck or "another session has locked tables that writers need"
        return Storing("nothing" if stuck else "database", "reachable", stuck)

    def _spooling(self, stuck: str) -> Storing:
        refused = stuck or self._spool.refusal()
        if refused:
            return Storing("nothing", "unavailable", refused)
        return Storing("spool", "unavailable", "the database is unavailable")


def _stuck(state: QueueState) -> str:
    if state.waited > _STUCK_SECONDS:
        return f"a request has waited for {state.waited:.0f} s"
    if state.took > _STUCK_SECONDS and state.ago < _STUCK_SECONDS:
        return f"the last request was answered after {state.took:.0f} s"
    return "the queue is full" if state.full else ""
