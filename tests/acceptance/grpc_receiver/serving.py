"""An OTLP/gRPC server in front of a desk."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from otelgres.collector.otlp.grpc_server import serve_grpc
from tests.acceptance.desk import Desk, LoopThread

LIMIT = 256 * 1024


@contextmanager
def serving(loop: LoopThread, desk: Desk, **options: Any) -> Iterator[int]:
    """Yields its port."""
    server = loop.run(serve_grpc(desk.pipeline(max_bytes=LIMIT), "127.0.0.1", 0, **options))
    try:
        yield server.port
    finally:
        loop.run(server.stop(0))
