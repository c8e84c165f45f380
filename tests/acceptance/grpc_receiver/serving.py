"""An OTLP/gRPC server in front of a stub."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from otelgres.collector.otlp.grpc_server import serve_grpc
from tests.acceptance.stub_queue import LoopThread, StubQueue

LIMIT = 256 * 1024


@contextmanager
def serving(loop: LoopThread, stub: StubQueue, **options: Any) -> Iterator[int]:
    """Yields its port."""
    server = loop.run(serve_grpc(stub.pipeline(max_bytes=LIMIT), "127.0.0.1", 0, **options))
    try:
        yield server.port
    finally:
        loop.run(server.stop(0))
