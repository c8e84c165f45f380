"""Tokens at both listeners: who is let in, what the others are told, and what a refused request can cost us."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]
import pytest
from google.rpc import status_pb2  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from otelgres.collector.otlp.grpc_server import CallLimits, serve_grpc
from otelgres.collector.otlp.http_app import Page
from otelgres.collector.otlp.http_server import serve_http
from otelgres.collector.security.auth_throttle import AuthThrottle
from otelgres.collector.security.authenticator import Authenticator
from otelgres.collector.security.token_file import TokenFile, changing
from otelgres.collector.security.tokens import TokenScope, new_token
from otelgres.exporters.batch import Batch
from tests.acceptance.http2_by_hand import TRACES, http2
from tests.acceptance.http_client import JSON, LINE, PAYLOAD, PROTOBUF, always_ready, ask, post, raw, until_closed
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
NOW = datetime.now(UTC)


class Tenants:
    """A processor that notes whose batch it was."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    async def process(self, batch: Batch, tenant: str | None) -> Batch:
        self.seen.append(tenant)
        return batch


class Guarded(NamedTuple):
    grpc: int
    http: int
    stub: StubQueue
    tenants: Tenants
    ingest: str
    read: str
    expired: str
    tokens: Path


async def _metrics() -> Page:
    return Page(200, "text/plain", b"up 1\n")


@contextmanager
def _guarded(loop: LoopThread, folder: Path, most: int) -> Iterator[Guarded]:
    path = folder / "tokens.yaml"
    with changing(path) as tokens:
        made = [
            new_token("orders", [TokenScope.INGEST], now=NOW, tenant="acme"),
            new_token("prometheus", [TokenScope.READ], now=NOW),
            new_token("old", [TokenScope.INGEST], now=NOW, expires=NOW - timedelta(seconds=1)),
        ]
        tokens += [token for _, token in made]
    stub, tenants = StubQueue(), Tenants()
    pipeline = stub.pipeline(
        authenticator=Authenticator(TokenFile(path), failures=AuthThrottle(most)), processors=[tenants]
    )
    over_grpc = loop.run(serve_grpc(pipeline, "127.0.0.1", 0))
    over_http = loop.run(
        serve_http(pipeline, "127.0.0.1", 0, ready=always_ready, pages={"/metrics": _metrics},
                   cors_origins=["https://app.example"])
    )  # fmt: skip
    try:
        ingest, read, expired = (text for text, _ in made)
        yield Guarded(over_grpc.port, over_http.port, stub, tenants, ingest, read, expired, path)
    finally:
        loop.run(over_grpc.stop(0))
        loop.run(over_http.stop(0))


@pytest.fixture
def guarded(loop: LoopThread, tmp_path: Path) -> Iterator[Guarded]:
    with _guarded(loop, tmp_path, most=10**9) as guarded:
        yield guarded


@pytest.fixture
def strict(loop: LoopThread, tmp_path: Path) -> Iterator[Guarded]:
    """Slows down after the second failure."""
    with _guarded(loop, tmp_path, most=2) as guarded:
        yield guarded


def call(port: int, **metadata: str) -> Any:
    """OK, or the call's error."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as opened:
        try:
            opened.unary_unary(EXPORT)(PAYLOAD, timeout=TIMEOUT, metadata=pairs)
        except grpc.RpcError as error:
            return error
    return grpc.StatusCode.OK


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_valid_tokens_are_accepted_and_identify_the_sender(guarded: Guarded) -> None:
    ways = [{"authorization": bearer(guarded.ingest)}, {"authorization": f"bearer  {guarded.ingest} "},
            {"x_api_key": guarded.ingest}, {"authorization": "Basic eDp5", "x_api_key": guarded.ingest}]  # fmt: skip
    for headers in ways:
        assert call(guarded.grpc, **headers) is grpc.StatusCode.OK
        assert post(guarded.http, **headers).status == 200
    assert [batch.payload for batch in guarded.stub.batches] == [PAYLOAD] * 8
    assert guarded.tenants.seen == ["acme"] * 8
    assert ask(guarded.http, "GET", "/metrics", authorization=bearer(guarded.read)).body == b"up 1\n"
    assert guarded.stub.requests() == {"": 8}


def test_everything_else_is_401_with_a_status_and_a_challenge(guarded: Guarded) -> None:
    bad = ["", "Bearer", "Bearer ", bearer(guarded.ingest[:-1]), bearer(guarded.ingest + "x"), bearer(guarded.expired),
           bearer("x" * 5000), bearer("\xff\xfe"), f"Basic {guarded.ingest}", guarded.ingest]  # fmt: skip
    for value in bad:
        for content_type, body in ((PROTOBUF, PAYLOAD), (JSON, LINE)):
            answer = post(guarded.http, body, content_type, authorization=value)
            assert (answer.status, answer.headers["Content-Type"], answer.error[0]) == (401, content_type, 16)
            assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="otelgres"')
            assert answer.headers["Retry-After"] is None
        if value.isascii():
            error = call(guarded.grpc, authorization=value)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            details = dict(error.trailing_metadata())["grpc-status-details-bin"]
            assert status_pb2.Status.FromString(details).code == 16
    assert post(guarded.http).headers["WWW-Authenticate"] == 'Bearer realm="otelgres"'
    assert 'error="invalid_token"' in post(guarded.http, authorization=bearer("x")).headers["WWW-Authenticate"]
    assert ask(guarded.http, "GET", "/metrics").status == 401
    # Also where the request is wrong in other ways: nothing is said about those to strangers.
    assert post(guarded.http, b"", "a/b").status == 401
    assert guarded.stub.batches == []


def test_the_other_scope_is_403(guarded: Guarded) -> None:
    answer = post(guarded.http, authorization=bearer(guarded.read))
    assert (answer.status, answer.error[0]) == (403, 7)
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert call(guarded.grpc, authorization=bearer(guarded.read)).code() is grpc.StatusCode.PERMISSION_DENIED
    page = ask(guarded.http, "GET", "/metrics", authorization=bearer(guarded.ingest))
    assert (page.status, page.error[0]) == (403, 7)
    assert guarded.stub.requests() == {"wrong_scope": 2}
    assert guarded.stub.batches == []


def test_health_is_open_and_says_no_more_than_that(guarded: Guarded) -> None:
    assert json.loads(ask(guarded.http, "GET", "/healthz").body) == {"status": "alive"}
    assert json.loads(ask(guarded.http, "GET", "/readyz").body) == {"status": "ready"}


def test_browsers_may_send_preflight_requests(guarded: Guarded) -> None:
    origin = {"Origin": "https://app.example", "Access_Control_Request_Headers": "authorization"}
    assert ask(guarded.http, "OPTIONS", "/v1/traces", **origin).status == 204
    refused = post(guarded.http, Origin="https://app.example")
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, "https://app.example")


@pytest.mark.parametrize("exporter", [GrpcExporter, HttpExporter], ids=["grpc", "http"])
def test_the_sdk_s_exporters_with_tokens(guarded: Guarded, exporter: Any) -> None:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("a span")
    span.end()
    over_grpc = exporter is GrpcExporter
    endpoint = f"http://127.0.0.1:{guarded.grpc}" if over_grpc else f"http://127.0.0.1:{guarded.http}/v1/traces"
    for token, result in ((guarded.ingest, SpanExportResult.SUCCESS), ("wrong", SpanExportResult.FAILURE)):
        sender = exporter(endpoint, headers={"authorization": bearer(token)})
        assert sender.export([span]) is result
        sender.shutdown()
    assert len(guarded.stub.batches) == 1


def test_after_too_many_failures_a_peer_is_asked_to_wait_but_a_good_token_is_not(strict: Guarded) -> None:
    assert [post(strict.http, authorization=bearer("wrong")).status for _ in range(4)] == [401, 401, 429, 429]
    slowed = post(strict.http)
    assert (slowed.status, slowed.headers["Retry-After"], slowed.error[0]) == (429, "3", 8)
    error = call(strict.grpc, authorization=bearer("wrong"))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "google.rpc.retryinfo-bin" in dict(error.trailing_metadata())
    for _ in range(3):
        assert post(strict.http, authorization=bearer(strict.ingest)).status == 200
        assert call(strict.grpc, authorization=bearer(strict.ingest)) is grpc.StatusCode.OK
    assert ask(strict.http, "GET", "/healthz").status == 200
    assert strict.stub.requests() == {"unknown_token": 2, "too_many_failures": 4, "": 6}


def test_tokens_made_and_revoked_while_serving(guarded: Guarded) -> None:
    text, token = new_token("second", [TokenScope.INGEST], now=NOW)
    with changing(guarded.tokens) as tokens:
        tokens.append(token)
    while post(guarded.http, authorization=bearer(text)).status != 200:
        pass
    # Two live at once: that is how one is rotated.
    assert post(guarded.http, authorization=bearer(guarded.ingest)).status == 200
    with changing(guarded.tokens) as tokens:
        tokens[:] = [token]
    while post(guarded.http, authorization=bearer(guarded.ingest)).status != 401:
        pass
    assert post(guarded.http, authorization=bearer(text)).status == 200


def test_of_a_refused_request_no_more_is_taken_than_a_window(guarded: Guarded) -> None:
    with http2(guarded.grpc) as connection:
        connection.open_call(1, TRACES)
        assert b"grpc-status\x0216" in connection.trailers(1)
        connection.settle()
        assert connection.granted(1) == CallLimits().window_bytes
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {60 << 20}\r\n\r\n"
    with raw(guarded.http) as sock:
        sock.sendall(head.encode())
        # Answered before the body, which is read and thrown away for a moment, so that the answer gets through.
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close\r\n" in answer
        sock.sendall(bytes(8 << 20))
        sock.shutdown(socket.SHUT_WR)
        until_closed(sock)
    assert guarded.stub.batches == []


def test_where_no_token_is_needed_there_is_no_tenant(loop: LoopThread) -> None:
    tenants = Tenants()
    server = loop.run(serve_http(StubQueue().pipeline(processors=[tenants]), "127.0.0.1", 0, ready=always_ready))
    assert post(server.port, authorization=bearer("anything")).status == 200
    loop.run(server.stop(0))
    assert tenants.seen == [None]
