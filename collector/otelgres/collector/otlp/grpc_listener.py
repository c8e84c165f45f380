"""Keeps gRPC served on one port: starts another grpc.aio server when a request ends the one that serves.

grpcio (1.85) decodes ``:path`` as UTF-8 in the task that receives all calls, before any code of ours. One call with
other bytes ends that task. The server then closes its listening socket, tells its clients to connect again, and would
let its calls in flight end, but serves no further ones.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from otelgres.collector.otlp.grpc_connections import share_connections
from otelgres.collector.system.listen import CannotListen

_log = logging.getLogger(__name__)

_LOG_SECONDS: Final = 60.0
# An ended server closes its socket in another thread and does not say when; it takes about a millisecond.
_FIRST_RETRY_SECONDS: Final = 0.002
_LAST_RETRY_SECONDS: Final = 0.5
_RESTART_SECONDS: Final = 10.0
# How long the calls in flight of an ended server may take, and how many ended servers wait for theirs.
_DRAIN_SECONDS: Final = 10.0
_MOST_DRAINING: Final = 8

# Makes a server, not yet started, on a port (0: any free one); returns both. Raises CannotListen.
MakeServer: TypeAlias = Callable[[int], tuple[Any, int]]


class GrpcListener:
    """Serves on one port. ``port`` is the actual one, also if 0 was requested.

    ``serving`` is false while no calls are accepted. ``failed`` is set when it has been so for 10 seconds; nothing is
    tried any more then.
    """

    def __init__(self, make: MakeServer, port: int, malformed: Callable[[], None], connections: int) -> None:
        """``malformed`` is called for each request that ends a server; clients share ``connections``.

        Raises CannotListen.
        """
        self._make = make
        self._malformed = malformed
        self._server, self.port = make(port)
        self.serving = False
        self.failed = asyncio.Event()
        self._stopping = False
        self._restarting: asyncio.Task[None] | None = None
        self._draining: deque[asyncio.Task[None]] = deque()
        self._ended_servers: set[asyncio.Task[None]] = set()
        self._logged_at = float("-inf")
        self._sharing = asyncio.create_task(share_connections(self.port, connections), name="grpc-connections")

    async def start(self) -> None:
        """Accepts calls."""
        before = asyncio.all_tasks()
        await self._server.start()
        _receiving(self._server, asyncio.all_tasks() - before).add_done_callback(self._ended)
        self.serving = True

    async def stop(self, grace: float) -> None:
        """Accept no new calls, wait ``grace`` seconds for those in flight, then cancel them (clients retry)."""
        self._stopping = True
        self.serving = False
        self._sharing.cancel()
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.wait([self._restarting])
        await asyncio.gather(_stop(self._server, grace), self._stop_ended(grace))

    async def _stop_ended(self, grace: float) -> None:
        if self._ended_servers:
            _, late = await asyncio.wait(self._ended_servers, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, receiving: "asyncio.Task[Any]") -> None:
        if receiving.cancelled():
            return
        error = receiving.exception()
        if isinstance(error, UnicodeDecodeError):
            self._malformed()
        if self._stopping:
            return
        _retrieve_errors_of_shutdown()
        self.serving = False
        self._log_end(error)
        self._restarting = asyncio.create_task(self._restart(), name="grpc-restart")
        self._restarting.add_done_callback(self._restarted)

    def _log_end(self, error: BaseException | None) -> None:
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            _log.warning(
                "a request ended the gRPC server (%s); starting another. More within a minute are only counted",
                error,
            )

    async def _restart(self) -> None:
        self._drain(self._server)
        deadline, pause = time.monotonic() + _RESTART_SECONDS, _FIRST_RETRY_SECONDS
        while True:
            try:
                self._server, _ = self._make(self.port)
                break
            except CannotListen:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_RETRY_SECONDS)
        await self.start()

    def _restarted(self, restarting: "asyncio.Task[None]") -> None:
        if not restarting.cancelled() and (error := restarting.exception()) is not None:
            _log.error("gRPC cannot be served again: %s", error)
            self.failed.set()

    def _drain(self, server: Any) -> None:
        task = asyncio.create_task(_drained(server), name="grpc-drain")
        self._ended_servers.add(task)
        task.add_done_callback(self._ended_servers.discard)
        self._draining.append(task)
        if len(self._draining) > _MOST_DRAINING:
            self._draining.popleft().cancel()


async def _drained(server: Any) -> None:
    """Waits for the calls in flight of an ended server; cancels them after 10 seconds or when itself cancelled."""
    try:
        await _stop(server, _DRAIN_SECONDS)
    except asyncio.CancelledError:
        await _stop(server, 0)


async def _stop(server: Any, grace: float) -> None:
    try:
        await server.stop(grace)
    except UnicodeDecodeError:
        # A request ended the server just now: it has closed its socket, and has not waited for anything yet.
        await server.stop(grace)


def _receiving(server: Any, started: "set[asyncio.Task[Any]]") -> "asyncio.Task[Any]":
    """The server's task that receives calls, among those ``started`` with it."""
    for task in started:
        if _name(task) == "AioServer._server_main_loop":
            return task
    # If grpcio has renamed it: this task ends too, but only when the calls in flight have ended.
    return asyncio.create_task(server.wait_for_termination(), name="grpc-serving")


def _retrieve_errors_of_shutdown() -> None:
    """The task in which an ended server shuts itself down raises the same error, which asyncio would log."""
    for task in asyncio.all_tasks():
        if _name(task) == "AioServer.shutdown":
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


def _name(task: "asyncio.Task[Any]") -> str:
    return getattr(task.get_coro(), "__qualname__", "")
