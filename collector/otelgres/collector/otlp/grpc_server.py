"""OTLP/gRPC: three Export methods that hand raw request bytes to ``submit`` and answer from the answer table.

No serializers are registered, so the bytes reach the store's own parser and a bad one becomes INVALID_ARGUMENT, not
grpcio's INTERNAL. Refuses to know what is in the bytes, and which status an outcome deserves.

The methods are registered as taking a stream, which is the same on the wire: they are then called before the message is
read, can refuse without holding it, and bound how many are being received. Of a message that nobody reads, grpc-core
holds no more than its flow-control window.

One asyncio loop serves everything: grpc.aio takes about 450 us of CPU a request of 512 spans (164 kB; 320 us of them
for any request at all), handler threads that wait on the same loop take 750.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from otelgres.collector.otlp.deadline import SharedDeadline
from otelgres.collector.otlp.status import STOPPING, UNEXPECTED, Answerable, grpc_answer
from otelgres.collector.security.authenticator import Authenticator
from otelgres.collector.security.principal import Principal, acting_as
from otelgres.collector.security.tokens import TokenScope
from otelgres.collector.system.listen import CannotListen, listen
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, Unavailable

_log = logging.getLogger(__name__)

_PREFIX: Final = "opentelemetry.proto.collector"
_SERVICES: Final = {
    Signal.TRACES: f"{_PREFIX}.trace.v1.TraceService",
    Signal.METRICS: f"{_PREFIX}.metrics.v1.MetricsService",
    Signal.LOGS: f"{_PREFIX}.logs.v1.LogsService",
}
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Submit = Callable[[Batch], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What one receiver grants to gRPC clients.

    Messages being received hold at most ``receiving`` x (``max_bytes`` of serve_grpc + ``window_bytes``), and as much
    again while compressed ones are inflated; ``waiting`` more calls wait for their turn with ``window_bytes`` each.
    grpcio's own bound on concurrent calls is not used: it answers RESOURCE_EXHAUSTED without RetryInfo, and clients
    throw the data away.
    """

    receiving: int = 16
    waiting: int = 512
    streams: int = 128
    # What a stream may send before its message is read, and a connection within one round trip: less makes far clients
    # slow, more makes those who wait expensive.
    window_bytes: int = 512 * 1024
    receive_seconds: float = 60.0
    handshake_seconds: float = 10.0
    idle_seconds: float = 600.0
    # A client that takes no answers, or sends half a header and answers pings, is not idle: this ends it. Clients are
    # told first and open another connection, without an error in any call.
    age_seconds: float = 3600.0
    age_grace_seconds: float = 120.0


class GrpcServer:
    """A running server. ``port`` is the real one, also where 0 was asked for."""

    def __init__(self, server: Any, port: int) -> None:
        self._server = server
        self.port = port

    async def stop(self, grace: float) -> None:
        """Take no new calls, give those in flight ``grace`` seconds, then cancel them (which clients retry)."""
        await self._server.stop(grace)


async def serve_grpc(
    submit: Submit,
    host: str,
    port: int,
    *,
    max_bytes: int = 64 * 1024 * 1024,
    max_connections: int = 1024,
    limits: CallLimits = CallLimits(),
    reuse_port: bool = False,
    credentials: Any = None,
    authenticator: Authenticator | None = None,
    rejections: RejectionCounters | None = None,
) -> GrpcServer:
    """Start serving on ``host``:``port`` in the running loop. Raises CannotListen.

    ``submit`` resolves once the batch's fate is final; it is cancelled when the client goes away. ``max_bytes`` bounds
    one request before and after decompression (gzip or deflate, both undone below us). ``credentials`` are grpc's
    server credentials (None: plain text); with a ``authenticator`` every call needs a token.
    """
    server = grpc.aio.server(options=_options(max_bytes, max_connections, limits, reuse_port=reuse_port))
    door = _ExportService(submit, limits, authenticator, rejections or RejectionCounters())
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(
                service, {"Export": grpc.stream_unary_rpc_method_handler(door.export_handler(signal))}
            )
            for signal, service in _SERVICES.items()
        )
    )
    bound = _bind(server, host, port, credentials)
    await server.start()
    return GrpcServer(server, bound)


def _options(max_bytes: int, max_connections: int, limits: CallLimits, *, reuse_port: bool) -> list[tuple[str, int]]:
    return [
        # grpcio's own default of 1 lets a second server take part of the connections without any error.
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_allowed_incoming_connections", max_connections),
        # Requests beyond this wait in the client instead of in our memory.
        ("grpc.max_concurrent_streams", limits.streams),
        # grpc-core would grant 4 MiB and more to every stream, read or not.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", limits.window_bytes),
        ("grpc.server_handshake_timeout_ms", _milliseconds(limits.handshake_seconds)),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.idle_seconds)),
        ("grpc.max_connection_age_ms", _milliseconds(limits.age_seconds)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(limits.age_grace_seconds)),
        # Clients that ping an idle connection keep it: the alternative is GOAWAY and data that must be sent again.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 0),
        # A peer that vanished without a word holds its connection for two minutes, not for two hours.
        ("grpc.keepalive_time_ms", 100_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _bind(server: Any, host: str, port: int, credentials: Any) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            bound: int = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        # grpcio says only that it failed; binding the same address ourselves finds the reason and the sentence.
        listen("OTLP/gRPC", host, port, reuse_port=False, backlog=1).close()
        raise CannotListen(f"cannot serve OTLP/gRPC on {host}:{port}: {error}") from error
    return bound


class _RejectedCall(Exception):  # noqa: N818 (never leaves this module)
    """The call ends here, with this answer."""

    def __init__(self, outcome: Answerable) -> None:
        super().__init__()
        self.outcome = outcome


class _ExportService:
    def __init__(
        self, submit: Submit, limits: CallLimits, authenticator: Authenticator | None, rejections: RejectionCounters
    ) -> None:
        self._rejections = rejections
        self._submit = submit
        self._limits = limits
        self._authenticator = authenticator
        self._turns = asyncio.Semaphore(limits.receiving)
        self._receiving_or_waiting = 0
        self._deadline = SharedDeadline(limits.receive_seconds)

    def export_handler(self, signal: Signal) -> Callable[[Any, Any], Awaitable[bytes]]:
        async def export(_: Any, context: Any) -> bytes:
            outcome: Answerable
            try:
                if self._authenticator is not None:
                    _admit(self._authenticator, context)
                outcome = await self._submit(Batch(signal, await self._received(context)))
                answer = grpc_answer(signal, outcome)
            except _RejectedCall as refused:
                outcome = refused.outcome
                if isinstance(outcome, Invalid):
                    self._rejections.add("grpc", signal, "too_large_or_damaged")
                answer = grpc_answer(signal, outcome)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise  # the client is gone, or the server stops and tells it so
                # The batch was cancelled behind us. grpc.aio would take that for the first case and never answer.
                outcome = STOPPING
                answer = grpc_answer(signal, outcome)
            except Exception:  # noqa: BLE001 (whatever it was, the sender must hear "later")
                # grpcio would answer UNKNOWN with our message in it: lost at the client, and none of its business.
                _log.exception("unexpected error while taking %s over gRPC; the sender was told to retry", signal)
                outcome = UNEXPECTED
                answer = grpc_answer(signal, outcome)
            if not isinstance(outcome, Accepted):
                await context.abort(_CODES[answer.code], answer.details, answer.trailers)
            return answer.body

        return export

    async def _received(self, context: Any) -> bytes:
        """The message. Raises _RejectedCall."""
        if self._receiving_or_waiting >= self._limits.receiving + self._limits.waiting:
            raise _RejectedCall(Overloaded(1.0, "too many requests are arriving at once; send it again"))
        self._receiving_or_waiting += 1
        try:
            with self._deadline:
                async with self._turns:
                    message = await context.read()
        except TimeoutError:
            raise _RejectedCall(Unavailable(1.0, "the request took too long to arrive; send it again")) from None
        finally:
            self._receiving_or_waiting -= 1
        if message is grpc.aio.EOF:
            # Also when the message was too large or not what its compression says: grpc-core has answered that already,
            # and this answer goes nowhere.
            raise _RejectedCall(Invalid("the call ended without a message"))
        assert isinstance(message, bytes)
        return message


def _admit(authenticator: Authenticator, context: Any) -> None:
    authorization = api_key = None
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            authorization = value
        elif key == "x-api-key":
            api_key = value
    verdict = authenticator.admit(authorization, api_key, TokenScope.INGEST, _address(context.peer()))
    if not isinstance(verdict, Principal):
        raise _RejectedCall(verdict)
    acting_as(verdict)


def _address(peer: str) -> str:
    """The IP address in what grpc calls a peer: ``ipv4:192.0.2.1:50000`` or ``ipv6:%5B2001:db8::1%5D:50000``."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    return unquote(rest).rpartition(":")[0].removeprefix("[").removesuffix("]")
