"""High load from clients that behave like the SDK's exporters: they obey RetryInfo and time out after 10 s."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]

from otelgres.collector.tools.chaos.items import ItemKind, Items

SPANS: Final = 512
"""Spans per request."""
CLIENT_SECONDS: Final = 10.0
"""The timeout of the SDK's exporters for one batch with all retries."""
_IN_TURN: Final = 8
_TEMPLATE_SEED: Final = int.from_bytes(b"OVERLOAD")
_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_AGAIN: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}


def template() -> bytes:
    """An encoded request. Only the trace ids are changed before sending, since encoding costs more than sending."""
    return Items(_TEMPLATE_SEED, time.time_ns()).request(ItemKind.SPAN, range(SPANS))


@dataclass(slots=True)
class Flood:
    """Sends numbered requests over one channel and records their results.

    The first 8 bytes of a request's trace ids are its number plus one.
    """

    channel: Any
    template: bytes = field(default_factory=template)
    sent: int = 0
    acked: list[tuple[float, int]] = field(default_factory=list)
    """(monotonic seconds, number)"""
    refusals: int = 0
    timeouts: int = 0
    given_up: int = 0

    async def send_sequentially(self, end: float) -> None:
        """Runs several clients that send one request after the other until ``end`` (``time.monotonic``)."""
        await asyncio.gather(*[self._one_after_the_other(end) for _ in range(_IN_TURN)])

    async def deliver(self) -> None:
        """Sends a new request until it is acknowledged or times out. Raises ``grpc.RpcError`` for a permanent error."""
        number = self.sent
        self.sent += 1
        payload = self.template.replace(_TEMPLATE_SEED.to_bytes(8), (number + 1).to_bytes(8))
        call = self.channel.unary_unary(_METHOD)
        deadline = time.monotonic() + CLIENT_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                await call(payload, timeout=left)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN:
                    raise
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    self.timeouts += 1
                    break
                self.refusals += 1
                await asyncio.sleep(_wait(error))
            else:
                self.acked.append((time.monotonic(), number))
                return
        self.given_up += 1

    def rate(self, since: float, until: float) -> float:
        """Acknowledged spans per second."""
        return sum(since <= at < until for at, _ in self.acked) * SPANS / (until - since)

    async def _one_after_the_other(self, end: float) -> None:
        while time.monotonic() < end:
            await self.deliver()


def _wait(error: grpc.aio.AioRpcError) -> float:
    retry_info = dict(error.trailing_metadata() or ()).get("google.rpc.retryinfo-bin", b"")
    delay = RetryInfo.FromString(retry_info).retry_delay
    return float(delay.seconds + delay.nanos / 1e9) or 1.0
