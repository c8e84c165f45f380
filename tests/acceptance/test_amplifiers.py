"""Requests that are small to send and large once parsed: a receiver answers, stays small and goes on serving.

Some of the corpus; ``measure`` takes all of it.
"""

import asyncio
import gzip
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from otelgres.collector.embedded import Cluster
from otelgres.collector.otlp import export
from otelgres.collector.processors import tenant
from otelgres.collector.processors.tenant import TenantProcessor
from otelgres.collector.security.authenticator import Credentials
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Overloaded
from tests import postgres
from tests.acceptance.receiver_process import Serving, get, rows, run_otelgres, serve
from tests.acceptance.stub_queue import LoopThread, StubQueue
from tests.attack.amplifiers import amplifiers
from tests.attack.measure import MIB, Measured, measure
from tests.attack.wire import field, inside
from tests.waiting import TIMEOUT, until

# One of each kind; the first ones took gigabytes and minutes at 8 MiB.
NAMES = {
    "empty resource groups", "empty scope groups", "empty items", "distinct scopes",
    "one-byte attributes of a span", "empty values in an array of a span",
    "deep value of a resource", "control characters of a number point",
    "keys of an entity reference", "zeros in a body", "empty exemplars of a point", "one-byte buckets",
    "packed buckets of each point", "large name", "JSON {} in groups", "JSON 0 in unknown keys",
    "JSON [[[ in attributes", "JSON {of a} in items", "unknown varints of an item",
}  # fmt: skip
CORPUS = {(one.name, one.json): one for one in amplifiers(time.time_ns()) if one.name in NAMES}.values()


@contextmanager
def receiver(cluster: Cluster, template: str, **settings: str) -> Iterator[Serving]:
    with (
        postgres.new_database(cluster, template) as dsn,
        tempfile.TemporaryDirectory() as spool,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in settings.items():
            patch.setenv(f"OTELGRES_{name.upper()}", value)
        with serve(dsn, spool) as process:
            serving = Serving(process, process.ready())
            until(lambda: get(f"{serving.http}/readyz").status_code == 200, "the receiver to be ready")
            yield serving


def said(found: list[Measured]) -> str:
    return "\n".join(one.line() for one in found)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_memory_of_a_request_is_a_multiple_of_its_size(cluster: Cluster, migrated: str, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    made = run_otelgres(
        "token", "new", "--name", "a", "--scope", "ingest", "--tenant", "acme", "--tokens-file", str(tokens)
    )
    with receiver(cluster, migrated, tokens_file=str(tokens), redact="defaults") as serving:
        token = made.stdout.strip()
        # The first requests load modules and fill caches.
        [*measure([*CORPUS][:2], serving.http, serving.pid, token=token, size=MIB // 4)]
        found = [*measure(CORPUS, serving.http, serving.pid, token=token, size=MIB)]
        assert all(one.held for one in found), said(found)
        assert sum(one.left for one in found) < 64 * MIB, said(found)
        refused = [one for one in found if one.status == 400]
        assert len(refused) >= 10, said(found)
        assert max(one.seconds for one in refused) < 15, said(found)
        losses = "SELECT coalesce(sum(count), 0)::int AS n FROM otel.losses WHERE reason = 'too_large'"
        until(lambda: rows(serving.dsn, losses)[0]["n"] >= len(refused), "the losses to be counted")
        assert get(f"{serving.http}/healthz").status_code == 200


def test_over_grpc_it_is_an_invalid_argument(cluster: Cluster, migrated: str) -> None:
    with receiver(cluster, migrated) as serving, grpc.insecure_channel(serving.grpc) as channel:
        export_traces = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as refused:
            export_traces(field(1, b"") * 1_000_000, timeout=TIMEOUT, compression=grpc.Compression.Gzip)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "20,000 resource and scope groups: split it" in refused.value.details()


class _Call:
    """A request of a transport."""

    transport = "http"

    def __init__(self, signal: Signal, body: export.Body) -> None:
        self.signal = signal
        self._body = body

    def credentials(self) -> Credentials:
        return Credentials(None, None, "127.0.0.1")

    async def body(self, sender: str) -> export.Body:
        return self._body

    def release(self) -> None:
        pass

    def gone(self) -> None:
        return None


def test_nothing_large_runs_in_the_event_loop(loop: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[tuple[str, int]] = []
    loop_thread = loop.run(_thread())

    def watched(module: Any, name: str, size: Any) -> None:
        original = getattr(module, name)

        def call(*arguments: Any) -> Any:
            if threading.get_ident() == loop_thread:
                here.append((name, size(*arguments)))
            return original(*arguments)

        monkeypatch.setattr(module, name, call)

    watched(export, "_decode", lambda signal, body, *rest: len(body.data))
    watched(export, "outline", lambda signal, payload, bounds, steps=0: 0 if steps else len(payload))
    watched(tenant, "with_tenant", lambda batch, name: len(batch.payload))
    stub = StubQueue()
    pipeline = stub.pipeline(processors=[_Acme()], max_bytes=64 * MIB)
    requests = [
        _Call(Signal.TRACES, export.Body(inside([1, 2], field(2, field(1, b"x")) * 300_000))),
        _Call(Signal.TRACES, export.Body(inside([1, 2, 2], field(9, b"x" * 100) * 1000))),
        _Call(Signal.LOGS, export.Body(gzip.compress(b'{"resourceLogs":[' + b" " * 100_000 + b"]}"), True, ("gzip",))),
        _Call(Signal.LOGS, export.Body(b'{"resourceLogs":[' + b" " * 100_000 + b"]}", True)),
        _Call(Signal.LOGS, export.Body(b'{"resourceLogs":[]}', True)),
    ]
    for one in requests:
        loop.run(pipeline.export(one))
    assert len(stub.batches) == len(requests)
    assert here
    assert max(size for _, size in here) <= 16 * 1024, here
    pipeline.close()


def test_what_waits_for_a_processor_is_bounded(loop: LoopThread) -> None:
    class Stuck:
        async def process(self, batch: Batch, tenant: str | None) -> Batch:
            await released.wait()
            return batch

    released = asyncio.Event()
    stub = StubQueue()
    pipeline = stub.pipeline(processors=[Stuck()], max_bytes=MIB)
    large = field(1, field(1, b"x" * (MIB - 100)))
    calls = [loop.start(pipeline.export(_Call(Signal.LOGS, export.Body(large)))) for _ in range(5)]
    until(lambda: any(one.done() for one in calls), "the fifth to be told to retry")
    assert [one.result() for one in calls if one.done()] == [Overloaded(1.0, "too many large requests at once; retry")]
    loop.loop.call_soon_threadsafe(released.set)
    assert sorted(type(one.result(TIMEOUT)).__name__ for one in calls) == ["Accepted"] * 4 + ["Overloaded"]
    assert len(stub.batches) == 4
    pipeline.close()


async def _thread() -> int:
    return threading.get_ident()


class _Acme(TenantProcessor):
    async def process(self, batch: Batch, tenant: str | None) -> Batch:
        return await super().process(batch, "acme")
