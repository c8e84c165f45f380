"""A proxy in front of PostgreSQL that simulates network faults: broken, frozen and slow connections.

It listens on a Unix socket with the name that libpq expects.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

_Result = TypeVar("_Result")
_CHUNK: Final = 64 * 1024
_PORT: Final = 5432
_CALL_SECONDS: Final = 10.0


class _Link:
    """One relayed connection; it is closed after ``left`` more bytes (None: no limit)."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._ends = (client, server)
        self.left: int | None = None

    def abort(self) -> None:
        for end in self._ends:
            end.transport.abort()


class Proxy:
    """Relays connections on a socket in ``folder`` to the Unix socket that ``target`` returns. Thread-safe."""

    def __init__(self, folder: Path, target: Callable[[], Path]) -> None:
        self._folder = folder
        self._target = target
        self._links: set[_Link] = set()
        self._refusing = False
        self._free_at = 0.0
        self.bytes_per_second: float | None = None
        """Limit of the rate towards the server; None: no limit."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._requests_flow, self._answers_flow = asyncio.Event(), asyncio.Event()
        self._server = self._call(self._listen())

    def dsn(self, database: str, user: str) -> str:
        """A connection URI through this proxy."""
        return f"postgresql://{user}@/{database}?host={quote(str(self._folder), safe='/')}&port={_PORT}"

    def cut(self, after: int = 0) -> None:
        """Closes every connection after ``after`` more bytes; with 0 immediately."""
        self._soon(self._cut, after)

    def refuse(self) -> None:
        """Closes every connection and refuses new ones until :meth:`restore`."""
        self._refusing = True
        self.cut()

    def freeze(self, *, requests: bool = True) -> None:
        """Relays nothing (with ``requests`` false: no answers) on open connections until :meth:`restore`."""
        if requests:
            self._soon(self._requests_flow.clear)
        self._soon(self._answers_flow.clear)

    def restore(self) -> None:
        """Ends :meth:`refuse` and :meth:`freeze`."""
        self._refusing = False
        self._soon(self._requests_flow.set)
        self._soon(self._answers_flow.set)

    def close(self) -> None:
        """Closes all connections and stops the thread."""
        if self._thread.is_alive():
            self._call(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CALL_SECONDS)
            self._loop.close()
            (self._folder / f".s.PGSQL.{_PORT}").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        future: Future[_Result] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(_CALL_SECONDS)

    def _soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    async def _listen(self) -> asyncio.Server:
        self._requests_flow.set()
        self._answers_flow.set()
        return await asyncio.start_unix_server(self._serve, self._folder / f".s.PGSQL.{_PORT}")

    async def _close(self) -> None:
        self._server.close()
        self._refusing = True
        self._cut(0)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _cut(self, after: int) -> None:
        for link in list(self._links):
            if after:
                link.left = after
            else:
                link.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._refusing:
                raise ConnectionRefusedError
            from_server, to_server = await asyncio.open_unix_connection(self._target())
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, to_server, requests=True),
                self._pump(link, from_server, writer, requests=False),
            )
        except (OSError, asyncio.CancelledError):
            # Cancelled by :meth:`close`; asyncio would print that as an error.
            pass
        finally:
            self._links.discard(link)
            link.abort()

    async def _pump(
        self, link: _Link, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, requests: bool
    ) -> None:
        flow = self._requests_flow if requests else self._answers_flow
        with suppress(ConnectionError):
            while data := await source.read(_CHUNK):
                await flow.wait()
                if requests and self.bytes_per_second:
                    await self._slow_down(len(data), self.bytes_per_second)
                if link.left is not None:
                    data = data[: link.left]
                    link.left -= len(data)
                target.write(data)
                await target.drain()
                if link.left == 0:
                    break
        link.abort()

    async def _slow_down(self, size: int, bytes_per_second: float) -> None:
        # One token bucket for all connections: the server is slow, not each connection.
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + size / bytes_per_second
        await asyncio.sleep(self._free_at - now)
