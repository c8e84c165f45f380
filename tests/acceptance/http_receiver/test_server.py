"""OTLP/HTTP over real sockets: what is taken, what is refused, with which status and body."""

import asyncio
import gzip
import http.client
import json
import socket
import zlib
from typing import Any

import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp_json import request_to_json
from otelgres.exporters.outcome import Accepted, Invalid, Overloaded, TooLarge, Unavailable
from tests.acceptance.http_client import (
    JSON,
    LIMIT,
    LINE,
    PAYLOAD,
    PROTOBUF,
    ask,
    post,
    raw,
    read_response,
    until_closed,
)
from tests.acceptance.stub_queue import TIMEOUT, StubQueue


@pytest.mark.parametrize("signal", Signal)
def test_protobuf_reaches_submit_untouched(port: int, stub: StubQueue, signal: Signal) -> None:
    answer = post(port, b"anything \xff", path=f"/v1/{signal}")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, PROTOBUF, b"")
    assert stub.batches == [Batch(signal, b"anything \xff")]


def test_json_reaches_submit_as_protobuf(port: int, stub: StubQueue) -> None:
    answer = post(port, LINE, JSON)
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, JSON, b"{}")
    assert stub.batches == [Batch(Signal.TRACES, PAYLOAD)]


@pytest.mark.parametrize(
    ("content_type", "own", "body"),
    [
        ("application/json; charset=utf-8", JSON, LINE),
        ("Application/JSON;charset=UTF-8", JSON, LINE),
        ("application/x-protobuf; messageType=x", PROTOBUF, PAYLOAD),
        (" APPLICATION/X-PROTOBUF ", PROTOBUF, PAYLOAD),
    ],
)
def test_media_types_with_parameters_in_any_case(
    port: int, stub: StubQueue, content_type: str, own: str, body: bytes
) -> None:
    answer = post(port, body, content_type)
    assert (answer.status, answer.headers["Content-Type"]) == (200, own)
    assert stub.batches == [Batch(Signal.TRACES, PAYLOAD)]


def test_empty_requests_are_valid(port: int, stub: StubQueue) -> None:
    assert post(port, b"").status == 200
    assert post(port, b"{}", JSON).status == 200
    assert [batch.payload for batch in stub.batches] == [b"", b""]


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("identity", bytes),
        ("none", bytes),
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:])),
        ("deflate", zlib.compress),
        ("deflate", _raw_deflate),
        ("zstd", zstandard.compress),
        ("zstd, gzip", lambda data: gzip.compress(zstandard.compress(data))),
    ],
)
def test_content_codings(port: int, stub: StubQueue, encoding: str, coding: str, compress: Any) -> None:
    body, content_type = (LINE, JSON) if encoding == "json" else (PAYLOAD, PROTOBUF)
    assert post(port, compress(body), content_type, Content_Encoding=coding).status == 200
    assert stub.batches == [Batch(Signal.TRACES, PAYLOAD)]


def test_chunked_bodies_and_large_ones(port: int, stub: StubQueue) -> None:
    large = ExportTraceServiceRequest()
    large.resource_spans.add().schema_url = "x" * 200_000
    payload = large.SerializeToString()
    pieces = [payload[i : i + 7777] for i in range(0, len(payload), 7777)]
    line = request_to_json(Signal.TRACES, payload)
    assert post(port, pieces).status == 200
    assert post(port, payload).status == 200
    assert post(port, line, JSON).status == 200
    assert post(port, [gzip.compress(line)], JSON, Content_Encoding="gzip").status == 200
    assert [batch.payload for batch in stub.batches] == [payload] * 4


def test_one_connection_carries_many_requests(port: int, stub: StubQueue) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    for method, path, body, headers, status in [
        ("POST", "/v1/traces", PAYLOAD, {"Content-Type": PROTOBUF}, 200),
        ("GET", "/healthz", None, {}, 200),
        ("GET", "/nowhere", None, {}, 404),
        ("POST", "/v1/logs", b"bad", {"Content-Type": JSON}, 400),
        ("HEAD", "/readyz", None, {}, 200),
        ("POST", "/v1/logs", b"", {"Content-Type": PROTOBUF}, 200),
    ]:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert response.headers["Connection"] is None
    connection.close()


def test_expect_100_continue(port: int, stub: StubQueue) -> None:
    with raw(port) as sock:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nExpect: 100-continue\r\n"
        sock.sendall(f"{head}Content-Length: 3\r\nConnection: close\r\n\r\n".encode())
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert until_closed(sock).startswith(b"HTTP/1.1 200 ")
    with raw(port) as sock:
        sock.sendall(f"{head}Content-Length: {LIMIT + 1}\r\n\r\n".encode())
        assert read_response(sock).status == 413
    assert [batch.payload for batch in stub.batches] == [b"abc"]


def test_an_offer_to_upgrade_is_ignored(port: int, stub: StubQueue) -> None:
    # Java's HTTP client makes it on every first request of a connection.
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    for extra in (upgrade, {}, {}):
        connection.request("POST", "/v1/traces", PAYLOAD, {"Content-Type": PROTOBUF, **extra})
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()
    assert [batch.payload for batch in stub.batches] == [PAYLOAD] * 3


@pytest.mark.parametrize("pieces", [1, 2, 3, 400])
def test_an_offer_to_upgrade_is_ignored_however_it_arrives(port: int, stub: StubQueue, pieces: int) -> None:
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\n"
    offer = f"{head}Connection: close, Upgrade\r\nUpgrade: h2c\r\n".encode()
    request = offer + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
    size = -(-len(request) // pieces)
    with raw(port) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(request), size):
            sock.sendall(request[at : at + size])
        assert until_closed(sock).startswith(b"HTTP/1.1 200 ")
    assert stub.batches == [Batch(Signal.TRACES, b"abcdef")]


@pytest.mark.parametrize(("content_type", "body"), [(PROTOBUF, PAYLOAD), (JSON, LINE)])
def test_partial_success(port: int, stub: StubQueue, content_type: str, body: bytes) -> None:
    stub.outcomes = [Accepted(2, "two without an id")]
    answer = post(port, body, content_type)
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    if content_type == JSON:
        assert json.loads(answer.body) == {
            "partialSuccess": {"rejectedSpans": "2", "errorMessage": "two without an id"}
        }
    else:
        partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
        assert (partial.rejected_spans, partial.error_message) == (2, "two without an id")


@pytest.mark.parametrize(("content_type", "body"), [(PROTOBUF, PAYLOAD), (JSON, LINE)])
@pytest.mark.parametrize(
    ("outcome", "status", "code", "retry_after"),
    [
        (Invalid("bad"), 400, 3, None),
        (TooLarge("big"), 413, 8, None),
        (Overloaded(0.2, "busy"), 429, 8, "1"),
        (Unavailable(2.2, "away"), 503, 14, "3"),
    ],
    ids=str,
)
def test_refusals(
    port: int,
    stub: StubQueue,
    outcome: Any,
    status: int,
    code: int,
    retry_after: str | None,
    content_type: str,
    body: bytes,
) -> None:
    stub.outcomes = [outcome]
    answer = post(port, body, content_type)
    assert (answer.status, answer.headers["Content-Type"]) == (status, content_type)
    assert answer.headers["Retry-After"] == retry_after
    assert answer.error == (code, outcome.message)


@pytest.mark.parametrize("error", [RuntimeError("secret"), TimeoutError("secret"), asyncio.CancelledError()], ids=repr)
def test_an_unexpected_error_is_503_and_says_nothing(
    port: int, stub: StubQueue, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    stub.outcomes = [error, error]
    for content_type, body in ((JSON, LINE), (PROTOBUF, PAYLOAD)):
        answer = post(port, body, content_type)
        assert (answer.status, answer.headers["Retry-After"], answer.headers["Content-Type"]) == (
            503,
            "1",
            content_type,
        )
        assert b"secret" not in answer.body
        assert answer.error[0] == 14
    logged = [
        record for record in caplog.records if record.name == "otelgres.collector.otlp.export" and record.exc_info
    ]
    assert bool(logged) == isinstance(error, Exception)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "", "application/protobuf", "application/json2", "multipart/form-data"]
)
def test_other_media_types(port: int, content_type: str) -> None:
    answer = post(port, PAYLOAD, content_type)
    assert (answer.status, answer.headers["Content-Type"]) == (415, JSON)
    assert PROTOBUF in answer.error[1]
    assert JSON in answer.error[1]


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods(port: int, method: str) -> None:
    answer = ask(port, method, "/v1/logs")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.headers["Content-Type"] == JSON
    assert ask(port, "POST", "/healthz", b"x").headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/", "/v1/traces/", "/v1", "/v1/profiles", "//v1/traces", "/v1/traces%2f", "/V1/traces"]
)
def test_other_paths_are_404_and_never_redirected(port: int, path: str) -> None:
    answer = post(port, path=path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, PROTOBUF)
    assert "/v1/traces" in answer.error[1]


def test_a_query_string_is_no_other_path(port: int) -> None:
    assert post(port, path="/v1/traces?x=y").status == 200


@pytest.mark.parametrize(("content_type", "body"), [(PROTOBUF, PAYLOAD), (JSON, LINE)])
@pytest.mark.parametrize("coding", ["br", "gzip, br", "gzip, gzip, gzip"])
def test_other_content_codings(port: int, stub: StubQueue, content_type: str, body: bytes, coding: str) -> None:
    answer = post(port, body, content_type, Content_Encoding=coding)
    assert (answer.status, answer.headers["Content-Type"]) == (415, content_type)
    assert answer.headers["Accept-Encoding"] == "gzip, deflate, zstd"
    assert answer.error[0] == 3
    assert stub.batches == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize(
    "body",
    [b"", b"junk", gzip.compress(PAYLOAD)[:-3], zlib.compress(PAYLOAD)[:-3]],
    ids=["empty", "junk", "cut gzip", "cut zlib"],
)
def test_broken_compression_is_400(port: int, stub: StubQueue, coding: str, body: bytes) -> None:
    answer = post(port, body, JSON, Content_Encoding=coding)
    assert (answer.status, answer.error[0]) == (400, 3)
    assert stub.batches == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"resourceSpans":3}', b"[" * 50_000, b"\xff"], ids=lambda b: repr(b[:9])
)
def test_broken_json_is_400(port: int, stub: StubQueue, body: bytes) -> None:
    answer = post(port, body, JSON)
    assert (answer.status, answer.headers["Content-Type"], answer.error[0]) == (400, JSON, 3)
    assert stub.batches == []


def test_a_bad_id_says_where(port: int) -> None:
    answer = post(port, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{},{"spanId":"xyz"}]}]}]}', JSON)
    assert answer.status == 400
    assert answer.error[1].startswith("$.resourceSpans[0].scopeSpans[0].spans[1].spanId: expected hex")
