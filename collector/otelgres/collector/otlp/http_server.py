"""OTLP/HTTP: the ASGI application on uvicorn, in a running event loop.

uvicorn's handling of signals, logging configuration and workers is disabled.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import orjson
import uvicorn
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from otelgres.collector.otlp.cors import Cors
from otelgres.collector.otlp.export import Pipeline
from otelgres.collector.otlp.http_app import BodyLimits, HttpApp, Page, PageMaker
from otelgres.collector.otlp.http_protocol import ConnectionLimits, bounded_protocol
from otelgres.collector.outcomes import Reason
from otelgres.collector.system.listen import BoundedListener, listen

Ready = Callable[[], Awaitable[tuple[bool, Mapping[str, Any]]]]

_READY_SECONDS: Final = 5.0
_BACKLOG: Final = 1024


class HttpServer:
    """A running server. ``port`` is the actual one, also if 0 was requested."""

    def __init__(self, server: "_Server", task: "asyncio.Task[None]", port: int) -> None:
        self._server = server
        self._task = task
        self.port = port

    async def stop(self, grace: float) -> None:
        """Accept no new requests, wait ``grace`` seconds for those in flight, then answer 503 (clients retry)."""
        # Not 0: uvicorn would log an error even with nothing to wait for. It is typed as whole seconds.
        self._server.config.timeout_graceful_shutdown = max(grace, 0.1)  # type: ignore[assignment]
        self._server.should_exit = True
        await self._task


async def serve_http(
    pipeline: Pipeline,
    host: str,
    port: int,
    *,
    ready: Ready,
    pages: Mapping[str, PageMaker] | None = None,
    cors_origins: Sequence[str] = (),
    body_limits: BodyLimits = BodyLimits(),  # noqa: B008 (frozen)
    connection_limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 (frozen)
    reuse_port: bool = False,
    tls: ssl.SSLContext | None = None,
) -> HttpServer:
    """Start serving on ``host``:``port`` in the running loop. Raises CannotListen.

    ``ready`` returns whether batches can be stored and the details for ``/readyz``; ``pages`` are more GET routes by
    path. If telemetry needs a token, pages need one too, except ``/healthz`` and ``/readyz``, then without details.
    """
    sock = listen("OTLP/HTTP", host, port, reuse_port=reuse_port, backlog=_BACKLOG)
    if tls is not None:
        # uvicorn counts a connection only after the handshake; until then it would use an uncounted file descriptor.
        sock = BoundedListener(sock, connection_limits.connections)
    routes = {"/healthz": _alive, "/readyz": _readiness(ready, with_detail=not pipeline.authenticates), **(pages or {})}
    app = HttpApp(pipeline, routes, Cors(cors_origins), body_limits, open_pages={"/healthz", "/readyz"})

    def rejected(reason: Reason) -> None:
        pipeline.metrics.request("http", None, reason)

    server = _Server(
        uvicorn.Config(
            app,
            http=bounded_protocol(connection_limits, rejected),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=connection_limits.idle_seconds,  # type: ignore[arg-type]  # it only goes to call_later
        ),
        tls,
        connection_limits,
    )
    task = asyncio.create_task(server.serve(sockets=[sock]), name="otlp-http")
    await server.listening
    return HttpServer(server, task, sock.getsockname()[1])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self._tls = tls
        self._limits = limits
        self.listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Replaces uvicorn's method, whose only limit on TLS handshakes is asyncio's default of a minute.
        assert sockets is not None
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        protocol = partial(
            make,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        try:
            server = await asyncio.get_running_loop().create_server(
                protocol,
                sock=sockets[0],
                backlog=_BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=self._limits.handshake_seconds if self._tls else None,
                ssl_shutdown_timeout=self._limits.answer_seconds if self._tls else None,
            )
        except Exception as error:
            self.listening.set_exception(error)
            raise
        self.servers = [server]
        self.started = True
        self.listening.set_result(None)


def metrics_page(exposition: Callable[[], Awaitable[bytes]]) -> PageMaker:
    """The page ``/metrics`` with the text of ``exposition``."""

    async def page() -> Page:
        return Page(200, CONTENT_TYPE_PLAIN_0_0_4, await exposition())

    return page


async def _alive() -> Page:
    return Page(200, "application/json", b'{"status":"alive"}')


def _readiness(ready: Ready, *, with_detail: bool) -> PageMaker:
    async def page() -> Page:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                is_ready, detail = await ready()
        except TimeoutError:
            is_ready, detail = False, {"reason": f"no answer within {_READY_SECONDS:g} s"}
        body = {"status": "ready" if is_ready else "not ready", **(detail if with_detail else {})}
        return Page(200 if is_ready else 503, "application/json", orjson.dumps(body, default=str))

    return page
