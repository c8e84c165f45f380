"""The sender process: ``python -m otelgres.collector.tools.bench.sender`` with a :class:`Job` as JSON on stdin.

Encodes all requests, prints ``ready``, waits for a line on stdin, sends over several connections with several calls in
flight on each, and prints a :class:`SentSummary` as JSON. Uses raw calls, so that the cost of an SDK is not included.
"""

import asyncio
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
import orjson

from otelgres.collector.tools.bench.load import MadeRequest, make_requests
from otelgres.exporters.batch import Signal

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_RETRYABLE: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
_WAIT_SECONDS: Final = 0.05
_CALL_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send and how. Sending stops after ``seconds`` even if items are left."""

    signal: Signal
    items: int
    seed: int
    at: int
    endpoint: str
    connections: int
    in_flight: int
    seconds: float


@dataclass(slots=True, kw_only=True)
class SentSummary:
    """What was acknowledged; seconds from the first call to the last answer; latency per call in ms."""

    items: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    ack_ms_p50: float = 0.0
    ack_ms_p99: float = 0.0
    sender_cpu_seconds: float = 0.0


async def send(job: Job, requests: deque[MadeRequest]) -> SentSummary:
    """Sends until ``requests`` is empty or time is up. Raises ``grpc.RpcError`` for a permanent error."""
    sent = SentSummary()
    waits: list[float] = []
    channels = [
        # Without local pools all channels to one address share one connection.
        grpc.aio.insecure_channel(job.endpoint, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(job.connections)
    ]
    try:
        await asyncio.gather(*[channel.channel_ready() for channel in channels])
        calls = [channel.unary_unary(_METHODS[job.signal]) for channel in channels]
        cpu = time.process_time()
        begin = time.monotonic()
        end = begin + job.seconds
        await asyncio.gather(
            *[_send_in_turn(call, requests, end, sent, waits) for call in calls for _ in range(job.in_flight)]
        )
        sent.seconds = time.monotonic() - begin
        sent.sender_cpu_seconds = time.process_time() - cpu
    finally:
        await asyncio.gather(*[channel.close() for channel in channels])
    waits.sort()
    if waits:
        sent.ack_ms_p50 = waits[len(waits) // 2] * 1e3
        sent.ack_ms_p99 = waits[len(waits) * 99 // 100] * 1e3
    return sent


async def _send_in_turn(
    call: Any, requests: deque[MadeRequest], end: float, sent: SentSummary, waits: list[float]
) -> None:
    while requests and time.monotonic() < end:
        request = requests.popleft()
        while True:
            begin = time.monotonic()
            try:
                await call(request.payload, timeout=_CALL_SECONDS)
            except grpc.RpcError as error:
                # A started request is retried beyond the end: with an unknown result it could not be counted.
                if error.code() not in _RETRYABLE or time.monotonic() > end + _CALL_SECONDS:
                    raise
                sent.retries += 1
                await asyncio.sleep(_WAIT_SECONDS)
            else:
                break
        waits.append(time.monotonic() - begin)
        sent.items += request.items
        sent.requests += 1


def _main() -> None:
    given = orjson.loads(sys.stdin.readline())
    job = Job(**{**given, "signal": Signal(given["signal"])})
    requests = deque(make_requests(job.signal, job.items, job.seed, job.at))
    print("ready", flush=True)
    if sys.stdin.readline():
        print(orjson.dumps(asdict(asyncio.run(send(job, requests)))).decode(), flush=True)


if __name__ == "__main__":
    _main()
