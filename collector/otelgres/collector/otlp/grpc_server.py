"""OTLP/gRPC: three Export methods, which receive their messages as raw bytes.

No serializers are registered, so that malformed bytes become INVALID_ARGUMENT instead of grpcio's INTERNAL.

The methods are registered as stream methods, which are the same on the wire: they are called before the message is
read, can reject it unread, and limit how many are received at once. grpc-core holds at most its flow-control window of
an unread message.

One asyncio loop serves all calls: grpc.aio takes about 450 us of CPU for a request of 512 spans (164 kB; 320 us of them
for any request); handler threads that wait on the same loop would take 750 us.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from otelgres.collector.otlp.export import Body, Pipeline
from otelgres.collector.otlp.grpc_listener import GrpcListener
from otelgres.collector.otlp.grpc_log import limit_grpc_log
from otelgres.collector.otlp.status import GrpcAnswer, grpc_answer, grpc_rejection
from otelgres.collector.otlp.turns import GaveWay, TaskTurns
from otelgres.collector.outcomes import NotFound, Reason, Rejected
from otelgres.collector.security.authenticator import Credentials
from otelgres.collector.system.listen import CannotListen, listen
from otelgres.exporters.batch import Signal
from otelgres.exporters.outcome import Invalid, Overloaded, Unavailable

_TRANSPORT: Final = "grpc"
_PREFIX: Final = "opentelemetry.proto.collector"
_SERVICES: Final = {
    Signal.TRACES: f"{_PREFIX}.trace.v1.TraceService",
    Signal.METRICS: f"{_PREFIX}.metrics.v1.MetricsService",
    Signal.LOGS: f"{_PREFIX}.logs.v1.LogsService",
}
# How long a call without a message waits for its cancellation, which arrives with the end of the message.
_CANCEL_SECONDS: Final = 0.25
_METHODS: Final = ", ".join(f"/{service}/Export" for service in _SERVICES.values())
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits for gRPC clients of one receiver.

    ``receiving`` messages are received at once, and a quarter more of senders that have none; each uses at most the
    pipeline's ``max_bytes`` + ``window_bytes``, and as much again while it is decompressed. ``waiting`` more calls wait
    with ``window_bytes`` each. Turns and places are shared between senders (see ``fair_turns``). grpcio's own limit on
    concurrent calls is not used: it answers RESOURCE_EXHAUSTED without RetryInfo, and clients drop the data.
    """

    receiving: int = 16
    waiting: int = 512
    streams: int = 128
    # How much a stream may send before its message is read, and a connection within one round trip: a smaller window
    # slows distant clients, a larger one makes waiting calls expensive.
    window_bytes: int = 512 * 1024
    receive_seconds: float = 60.0
    handshake_seconds: float = 10.0
    idle_seconds: float = 600.0
    # Ends connections that are stuck but not idle: clients that read no responses, or send half a header and answer
    # pings. Clients are notified first and open another connection, without a failed call.
    age_seconds: float = 3600.0
    age_grace_seconds: float = 120.0


async def serve_grpc(
    pipeline: Pipeline,
    host: str,
    port: int,
    *,
    max_connections: int = 1024,
    limits: CallLimits = CallLimits(),
    reuse_port: bool = False,
    credentials: Callable[[], Any] | None = None,
) -> GrpcListener:
    """Start serving on ``host``:``port`` in the running loop. Raises CannotListen.

    The pipeline's ``max_bytes`` limits a request before and after decompression (gzip or deflate, done by grpc-core).
    ``credentials`` makes grpc's server credentials, which serve only once (None: plain text).
    """
    limit_grpc_log()
    options = _options(pipeline.max_bytes, max_connections, limits, reuse_port=reuse_port)
    handlers = _Service(pipeline, limits).handlers()

    def make(port: int) -> tuple[Any, int]:
        # grpcio gives no reason if it cannot bind.
        listen("OTLP/gRPC", host, port, reuse_port=reuse_port, backlog=1).close()
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers(handlers)
        return server, _bind(server, host, port, credentials)

    def malformed() -> None:
        rejected = Rejected(Reason.MALFORMED, Invalid(":path is not UTF-8"), ":path is not UTF-8")
        pipeline.reject(_TRANSPORT, None, rejected)

    listener = GrpcListener(make, port, malformed, max_connections)
    await listener.start()
    return listener


def _options(max_bytes: int, max_connections: int, limits: CallLimits, *, reuse_port: bool) -> list[tuple[str, int]]:
    return [
        # With grpcio's default of 1, a second server on the port would get some of the connections, without an error.
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_allowed_incoming_connections", max_connections),
        # Further requests wait in the client instead of in our memory.
        ("grpc.max_concurrent_streams", limits.streams),
        # Otherwise grpc-core allows 4 MiB and more for every stream, even if it is not read.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", limits.window_bytes),
        ("grpc.server_handshake_timeout_ms", _milliseconds(limits.handshake_seconds)),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.idle_seconds)),
        ("grpc.max_connection_age_ms", _milliseconds(limits.age_seconds)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(limits.age_grace_seconds)),
        # Clients may ping an idle connection to keep it: otherwise they get GOAWAY and must send data again.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 0),
        # The connection of a peer that has disappeared is closed after two minutes instead of two hours.
        ("grpc.keepalive_time_ms", 100_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _bind(server: Any, host: str, port: int, credentials: Callable[[], Any] | None) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            bound: int = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, credentials())
    except RuntimeError as error:
        raise CannotListen(f"cannot serve OTLP/gRPC on {host}:{port}: {error}") from error
    return bound


class _Service:
    """The Export methods of the three signals, and a method for all other paths."""

    def __init__(self, pipeline: Pipeline, limits: CallLimits) -> None:
        self._pipeline = pipeline
        self._turns = TaskTurns(limits.receiving, limits.waiting, limits.receive_seconds)

    def handlers(self) -> tuple[Any, ...]:
        exports = (
            grpc.method_handlers_generic_handler(
                service, {"Export": grpc.stream_unary_rpc_method_handler(self._export_handler(signal))}
            )
            for signal, service in _SERVICES.items()
        )
        return (*exports, _Unknown(self._reject_unknown))

    def _export_handler(self, signal: Signal) -> Callable[[Any, Any], Awaitable[bytes]]:
        async def export(_: Any, context: Any) -> bytes:
            outcome = await self._pipeline.export(_GrpcRequest(signal, context, self._turns))
            return await _answered(context, grpc_answer(signal, outcome))

        return export

    async def _reject_unknown(self, _: Any, context: Any) -> bytes:
        rejected = Rejected(Reason.WRONG_PATH, NotFound("no such method; OTLP/gRPC is served at " + _METHODS))
        return await _answered(context, grpc_rejection(self._pipeline.reject(_TRANSPORT, None, rejected)))


class _Unknown(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The last handler, for unknown methods: grpcio's own answer would not be counted."""

    def __init__(self, behavior: Callable[[Any, Any], Awaitable[bytes]]) -> None:
        self._handler = grpc.stream_unary_rpc_method_handler(behavior)

    def service(self, handler_call_details: Any) -> Any:
        return self._handler


async def _answered(context: Any, answer: GrpcAnswer) -> bytes:
    code = _CODES[answer.code]
    if code is not grpc.StatusCode.OK:
        await context.abort(code, answer.details, answer.trailers)
    return answer.body


class _GrpcRequest:
    """An Export call, as a request of the pipeline."""

    __slots__ = ("_context", "_ended", "_turns", "signal")
    transport: Final = _TRANSPORT

    def __init__(self, signal: Signal, context: Any, turns: TaskTurns) -> None:
        self.signal = signal
        self._context = context
        self._turns = turns
        self._ended = False

    def credentials(self) -> Credentials:
        authorization = api_key = None
        for key, value in self._context.invocation_metadata() or ():
            if key == "authorization":
                authorization = value
            elif key == "x-api-key":
                api_key = value
        return Credentials(authorization, api_key, _address(self._context.peer()))

    async def body(self, sender: str) -> Body:
        try:
            message = await self._turns.run(sender, self._context.read)
        except GaveWay:
            busy = Overloaded(1.0, "too many requests at once; retry")
            raise Rejected(Reason.THROTTLED, busy) from None
        except TimeoutError:
            slow = Unavailable(1.0, "the request was not received in time; retry")
            raise Rejected(Reason.TIMEOUT, slow) from None
        if message is grpc.aio.EOF:
            # Also if grpc-core has answered itself or the client has gone; then the task is cancelled soon.
            self._ended = True
            await asyncio.sleep(_CANCEL_SECONDS)
            raise Rejected(Reason.MALFORMED, Invalid("the call ended without a message"))
        assert isinstance(message, bytes)
        return Body(message)

    def release(self) -> None:
        pass

    def gone(self) -> Reason | None:
        # grpc.aio cancels the call's task when its client disconnects, and at the end of the server's grace period.
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            return None
        return Reason.ABORTED if self._ended else Reason.CLIENT_GONE


def _address(peer: str) -> str:
    """The IP address in a gRPC peer: ``ipv4:192.0.2.1:50000`` or ``ipv6:%5B2001:db8::1%5D:50000``."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    return unquote(rest).rpartition(":")[0].removeprefix("[").removesuffix("]")
