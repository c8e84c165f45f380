"""An HTTP client for the receiver's tests, from whole requests down to single bytes, and a server to point it at."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from google.rpc import status_pb2  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from otelgres.collector.otlp.http_server import serve_http
from otelgres.exporters.batch import Signal
from otelgres.exporters.otlp_json import request_to_json
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
LIMIT = 256 * 1024

REQUEST = ExportTraceServiceRequest()
REQUEST.resource_spans.add().scope_spans.add().spans.add(trace_id=b"\xab" * 16, name="n" * 200)
PAYLOAD = REQUEST.SerializeToString()
LINE = request_to_json(Signal.TRACES, PAYLOAD)


async def always_ready() -> tuple[bool, Mapping[str, Any]]:
    return True, {"schema": 7}


@contextmanager
def serving(loop: LoopThread, stub: StubQueue, **options: Any) -> Iterator[int]:
    pipeline = stub.pipeline(max_bytes=LIMIT)
    server = loop.run(serve_http(pipeline, "127.0.0.1", 0, **{"ready": always_ready, **options}))
    try:
        yield server.port
    finally:
        loop.run(server.stop(0))
        pipeline.close()


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def error(self) -> Any:
        """The google.rpc.Status that it carries, from either encoding, as (code, message)."""
        if self.headers["Content-Type"] == JSON:
            tree = json.loads(self.body)
            return tree["code"], tree["message"]
        status = status_pb2.Status.FromString(self.body)
        return status.code, status.message


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        chunked = isinstance(body, list)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, iter(body) if chunked else body, named, encode_chunked=chunked)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def post(
    port: int, body: Any = PAYLOAD, content_type: str = PROTOBUF, path: str = "/v1/traces", **headers: str
) -> Answer:
    return ask(port, "POST", path, body, Content_Type=content_type, **headers)


@contextmanager
def raw(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        yield sock


def read_response(sock: socket.socket) -> "Answer":
    response = http.client.HTTPResponse(sock)
    response.begin()
    return Answer(response)


def until_closed(sock: socket.socket) -> bytes:
    received = b""
    try:
        while data := sock.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received
