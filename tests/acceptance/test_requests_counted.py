"""Every request over both transports, good or bad, ends in exactly one increment of one counter."""

import gzip
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.otlp.grpc_server import CallLimits, serve_grpc
from otelgres.collector.otlp.http_app import BodyLimits
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.collector.otlp.http_server import serve_http
from otelgres.collector.processors.tenant import TenantProcessor
from otelgres.collector.security.auth_throttle import AuthThrottle
from otelgres.collector.security.authenticator import Authenticator
from otelgres.collector.security.token_file import TokenFile, changing
from otelgres.collector.security.tokens import TokenScope, new_token
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, Unavailable
from tests.acceptance.http2_by_hand import FIELDS, TRACES, Http2, http2
from tests.acceptance.http_client import JSON, LIMIT, PAYLOAD, PROTOBUF, always_ready, ask, post, raw, until_closed
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue

NOW = datetime.now(UTC)
MESSAGE = b"\0" + len(PAYLOAD).to_bytes(4, "big") + PAYLOAD
FOREIGN = ExportTraceServiceRequest()
FOREIGN.resource_spans.add().resource.attributes.add(key="tenant.id").value.string_value = "other"
FOREIGN.resource_spans[0].scope_spans.add().spans.add(name="not mine")


class Servers:
    """Both transports before one pipeline, with every limit as small as a test needs it."""

    def __init__(self, loop: LoopThread, tokens: Path, *, seconds: float = TIMEOUT, failures: int = 10**9) -> None:
        with changing(tokens) as found:
            made = [
                new_token("orders", [TokenScope.INGEST], now=NOW, tenant="acme"),
                new_token("prometheus", [TokenScope.READ], now=NOW),
                new_token("old", [TokenScope.INGEST], now=NOW, expires=NOW - timedelta(seconds=1)),
            ]
            found += [token for _, token in made]
        self.tokens = {name: f"Bearer {text}" for name, (text, _) in zip(("good", "read", "old"), made, strict=True)}
        self.good = self.tokens["good"]
        self.loop = loop
        self.stub = StubQueue()
        self.pipeline = self.stub.pipeline(
            authenticator=Authenticator(TokenFile(tokens), failures=AuthThrottle(failures)),
            processors=[TenantProcessor()],
            max_bytes=LIMIT,
        )
        limits = CallLimits(receiving=1, waiting=1, receive_seconds=seconds)
        self.over_grpc = loop.run(serve_grpc(self.pipeline, "127.0.0.1", 0, limits=limits))
        self.over_http = loop.run(
            serve_http(
                self.pipeline,
                "127.0.0.1",
                0,
                ready=always_ready,
                cors_origins=["https://app.example"],
                body_limits=BodyLimits(held_bytes=LIMIT, seconds=seconds),
                connection_limits=ConnectionLimits(header_seconds=seconds),
            )
        )
        self.grpc: int = self.over_grpc.port
        self.http: int = self.over_http.port

    def close(self) -> None:
        self.loop.run(self.over_grpc.stop(0))
        self.loop.run(self.over_http.stop(0))
        self.pipeline.close()

    def counts(self, *names: str) -> Counter[Any]:
        """The counters of these names, by their labels."""
        return Counter(
            {
                (name, *dict(labels).values()): int(value)
                for (name, labels), value in self.stub.metrics.numbers().items()
                if name in names and value
            }
        )

    def requests(self) -> Counter[Any]:
        return self.counts("otelcol_receiver_requests", "otelgres_page_requests_total")

    def call(self, payload: bytes = PAYLOAD, path: str = TRACES, token: str = "good", **options: Any) -> None:
        metadata = (("authorization", self.tokens.get(token, token)),)
        with (
            grpc.insecure_channel(f"127.0.0.1:{self.grpc}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel,
            suppress(grpc.RpcError),
        ):
            channel.unary_unary(path)(payload, timeout=TIMEOUT, metadata=metadata, **options)

    def post(self, body: Any = PAYLOAD, content_type: str = PROTOBUF, token: str = "good", **options: Any) -> None:
        post(self.http, body, content_type, authorization=self.tokens.get(token, token), **options)

    def ask(self, method: str, path: str, **headers: str) -> None:
        ask(self.http, method, path, authorization=self.good, **headers)

    def open_call(self, client: Http2, stream: int = 1) -> None:
        client.open_call(stream, TRACES, authorization=self.good)

    def head(self, length: int = 100) -> bytes:
        lines = ("POST /v1/traces HTTP/1.1", "Host: x", f"Content-Type: {PROTOBUF}", f"Authorization: {self.good}")
        return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


@pytest.fixture
def servers(loop: LoopThread, tmp_path: Path) -> Iterator[Servers]:
    made = Servers(loop, tmp_path / "tokens.yaml")
    yield made
    made.close()


def label(transport: str, reason: str, outcome: str = "failure", signal: str = "traces") -> Any:
    """The labels of one increment."""
    return ("otelcol_receiver_requests", "otlp", transport, signal, outcome, reason)


def page(path: str, reason: str = "") -> Any:
    return ("otelgres_page_requests_total", path, reason)


class ItemKind(NamedTuple):
    """One kind of request: how it is sent, what the queue answers, and what is counted."""

    name: str
    send: Callable[[Servers], object]
    counted: Any
    outcome: Outcome | BaseException | None = None
    or_counted: Any = None
    """What is counted instead, where the network decides which of two ends comes first."""


def both(name: str, counted: str, outcome: Any = None, result: str = "failure", **options: Any) -> Iterator[ItemKind]:
    """The same over both transports; ``options`` are those of Servers.call and Servers.post."""
    yield ItemKind(f"{name} over grpc", lambda s: s.call(**options), label("grpc", counted, result), outcome)
    yield ItemKind(f"{name} over http", lambda s: s.post(**_as_http(options)), label("http", counted, result), outcome)


def _as_http(options: dict[str, Any]) -> dict[str, Any]:
    return {{"payload": "body"}.get(name, name): value for name, value in options.items()}


def _half_a_message(servers: Servers) -> None:
    with http2(servers.grpc) as client:
        servers.open_call(client)
        client.send(1, b"\0\0\0\0\x64abc")
        client.trailers(1)


def _half_a_body(servers: Servers) -> None:
    with raw(servers.http) as sock:
        sock.sendall(servers.head() + b"abc")
        until_closed(sock)


def _no_message(servers: Servers) -> None:
    with http2(servers.grpc) as client:
        servers.open_call(client)
        client.end(1)
        client.trailers(1)


def _undecodable_path(servers: Servers) -> None:
    with http2(servers.grpc) as client:
        client.open_odd_call(1, (FIELDS | {b":path": b"/\xff"}).items())
        _until(lambda: servers.requests()[label("grpc", "malformed", signal="")] > 0, "the count")
    _until(lambda: servers.over_grpc.serving, "another server")


def _undecodable_token(servers: Servers) -> None:
    with http2(servers.grpc) as client:
        client.open_odd_call(1, [*FIELDS.items(), (b"authorization", b"Bearer \xff")])
        client.trailers(1)


def _gone_in_the_message(servers: Servers) -> None:
    with http2(servers.grpc) as client:
        servers.open_call(client)
        client.send(1, b"\0\0\0\0\x64abc")
        client.settle()
        client.reset(1)
        client.settle()


def _gone_in_the_body(servers: Servers) -> None:
    with raw(servers.http) as sock:
        sock.sendall(servers.head() + b"abc")
        sock.shutdown(socket.SHUT_RDWR)


def _raw_http(text: bytes) -> Callable[[Servers], None]:
    def send(servers: Servers) -> None:
        with raw(servers.http) as sock:
            sock.sendall(text)
            until_closed(sock)

    return send


PROFILES = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
LARGE = bytes(LIMIT + 1)
BOMB = bytes(50 * LIMIT)
LONG = b"GET / HTTP/1.1\r\nX: " + b"x" * 66_000
GZIP = {"Content_Encoding": "gzip"}


def over_http(name: str, counted: str, signal: str = "traces", **options: Any) -> ItemKind:
    return ItemKind(name, lambda s: s.post(**options), label("http", counted, signal=signal))


def over_grpc(name: str, counted: str, signal: str = "traces", **options: Any) -> ItemKind:
    return ItemKind(name, lambda s: s.call(**options), label("grpc", counted, signal=signal))


KINDS = [
    *both("accepted", "", result="success"),
    *both("partial", "partial", Accepted(1, "no id"), "success"),
    *both("malformed for the store", "malformed", Invalid("no request")),
    *both("a full queue", "queue_full", Overloaded(1, "busy"), "refused"),
    *both("a database that is away", "unavailable", Unavailable(1, "away"), "refused"),
    *both("an error of ours", "unexpected", RuntimeError("ours")),
    *both("no token", "no_token", token=""),
    *both("an unknown token", "unknown_token", token="Bearer x"),
    *both("an expired token", "expired_token", token="old"),
    *both("a token for reading", "wrong_scope", token="read"),
    *both("another's tenant", "tenant", payload=FOREIGN.SerializeToString()),
    over_grpc("an unknown signal over grpc", "wrong_path", "", path=PROFILES),
    over_http("an unknown signal over http", "wrong_path", "", path="/v1development/profiles"),
    over_grpc("an unknown method over grpc", "wrong_path", "", path=TRACES + "s"),
    ItemKind("another method over http", lambda s: s.ask("PUT", "/v1/traces"), label("http", "wrong_method")),
    over_grpc("too large over grpc", "aborted", payload=LARGE),
    over_grpc("a bomb over grpc", "aborted", payload=BOMB, compression=grpc.Compression.Gzip),
    over_http("too large over http", "too_large", body=LARGE),
    over_http("a bomb over http", "too_large", body=gzip.compress(BOMB), **GZIP),
    ItemKind("an undecodable path over grpc", _undecodable_path, label("grpc", "malformed", signal="")),
    ItemKind("an undecodable token over grpc", _undecodable_token, label("grpc", "unknown_token")),
    ItemKind("no message over grpc", _no_message, label("grpc", "malformed")),
    over_http("broken JSON", "malformed", body=b"{", content_type=JSON),
    over_http("broken compression", "malformed", body=b"junk", **GZIP),
    over_http("another media type", "media_type", content_type="text/plain"),
    over_http("another coding", "content_encoding", Content_Encoding="br"),
    ItemKind(
        "a client that leaves in its message",
        _gone_in_the_message,
        label("grpc", "aborted"),
        or_counted=label("grpc", "client_gone"),
    ),
    ItemKind("a client that leaves in its body", _gone_in_the_body, label("http", "client_gone")),
    ItemKind("no HTTP at all", _raw_http(b"hello\r\n\r\n"), label("http", "malformed", signal="")),
    ItemKind("headers without end", _raw_http(LONG), label("http", "too_large", signal="")),
    ItemKind("health", lambda s: s.ask("GET", "/healthz"), page("/healthz")),
    ItemKind("a page for readers", lambda s: s.ask("GET", "/readyz"), page("/readyz")),
    ItemKind("a page by POST", lambda s: s.ask("POST", "/healthz"), page("/healthz", "wrong_method")),
    ItemKind("a preflight", lambda s: s.ask("OPTIONS", "/v1/traces", Origin="https://app.example"), page("/v1/traces")),
]
SLOW = [
    ItemKind("half a message over grpc", _half_a_message, label("grpc", "timeout")),
    ItemKind("half a body over http", _half_a_body, label("http", "timeout")),
    ItemKind("half the headers over http", _raw_http(b"GET /hea"), label("http", "timeout", signal="")),
]


def test_each_request_is_counted_exactly_once(servers: Servers) -> None:
    _count(servers, KINDS)


def test_each_request_that_is_too_slow_is_counted_exactly_once(loop: LoopThread, tmp_path: Path) -> None:
    servers = Servers(loop, tmp_path / "tokens.yaml", seconds=0.3)
    _count(servers, SLOW)


def _count(servers: Servers, kinds: Sequence[ItemKind]) -> None:
    sent: Counter[Any] = Counter()
    for kind in kinds:
        if kind.outcome is not None:
            servers.stub.outcomes = [kind.outcome]
        kind.send(servers)
        _until(lambda: servers.requests().total() > sent.total(), kind.name)
        other = kind.or_counted is not None and servers.requests()[kind.or_counted] > sent[kind.or_counted]
        sent[kind.or_counted if other else kind.counted] += 1
        assert servers.requests() == sent, kind.name
    # Neither a late second increment nor a request that no counter has seen.
    servers.close()
    assert servers.requests() == sent


def test_a_client_that_leaves_before_its_turn_is_counted_exactly_once(servers: Servers) -> None:
    with http2(servers.grpc) as first, http2(servers.grpc) as second:
        servers.open_call(first)
        first.settle()
        servers.open_call(second)
        second.settle()
        second.reset(1)
        _until(lambda: servers.requests().total() == 1, "the end of the second call")
        first.send(1, MESSAGE, last=True)
        first.trailers(1)
    assert servers.requests() == {label("grpc", "client_gone"): 1, label("grpc", "", "success"): 1}


def test_throttled_requests_are_counted_exactly_once(servers: Servers) -> None:
    with http2(servers.grpc) as busy:
        for stream in (1, 3, 5):
            servers.open_call(busy, stream)
        busy.trailers(5)
        assert servers.requests() == {label("grpc", "throttled"): 1}
        for stream in (1, 3):
            busy.send(stream, MESSAGE, last=True)
            busy.trailers(stream)
    with raw(servers.http) as sock:
        sock.sendall(servers.head(LIMIT) + bytes(LIMIT - 1))
        # The server may not have read all of the above yet.
        while not servers.requests()[label("http", "throttled")]:
            servers.post(b"xy")
        counted = servers.requests()
        sock.sendall(b"x")
        assert sock.recv(100).startswith(b"HTTP/1.1 ")
    assert servers.requests() - counted == {label("http", "malformed"): 1}
    assert counted[label("grpc", "", "success")] == 2


def test_a_peer_that_failed_too_often_is_counted_exactly_once(loop: LoopThread, tmp_path: Path) -> None:
    servers = Servers(loop, tmp_path / "tokens.yaml", failures=0)
    servers.call(token="Bearer x")
    servers.post(token="Bearer x")
    assert servers.requests() == {label("grpc", "too_many_failures"): 1, label("http", "too_many_failures"): 1}
    servers.close()


def test_a_client_that_leaves_before_its_answer_is_counted_exactly_once(servers: Servers) -> None:
    releases = [threading.Event() for _ in range(2)]

    def held(released: threading.Event) -> Callable[[], Any]:
        async def wait() -> Outcome:
            await servers.loop.loop.run_in_executor(None, released.wait, TIMEOUT)
            return Accepted()

        return wait

    servers.stub.outcomes = [held(released) for released in releases]
    with http2(servers.grpc) as client:
        servers.open_call(client)
        client.send(1, MESSAGE, last=True)
        servers.loop.run(servers.stub.until(1))
        client.reset(1)
        _until(lambda: servers.requests().total() == 1, "the end of the call")
    with raw(servers.http) as sock:
        sock.sendall(servers.head(len(PAYLOAD)) + PAYLOAD)
        servers.loop.run(servers.stub.until(2))
    _until(lambda: not servers.over_http._server.server_state.connections, "the end of the connection")
    for released in releases:
        released.set()
    _until(lambda: servers.requests().total() == 2, "both")
    assert servers.requests() == {label("grpc", "client_gone"): 1, label("http", "client_gone"): 1}


def test_items_are_counted_by_transport_and_outcome(servers: Servers) -> None:
    three = ExportTraceServiceRequest()
    for _ in range(3):
        three.resource_spans.add().scope_spans.add().spans.add()
    payload = three.SerializeToString()
    for outcome in (Accepted(), Accepted(1, "no id"), Invalid("no"), Overloaded(1, "busy")):
        servers.stub.outcomes = [outcome, outcome]
        servers.call(payload)
        servers.post(payload)
    spans = servers.counts(
        "otelcol_receiver_accepted_spans", "otelcol_receiver_refused_spans", "otelcol_exporter_enqueue_failed_spans"
    )
    assert spans == {
        ("otelcol_receiver_accepted_spans", "otlp", "grpc"): 5,
        ("otelcol_receiver_accepted_spans", "otlp", "http"): 5,
        ("otelcol_receiver_refused_spans", "otlp", "grpc"): 7,
        ("otelcol_receiver_refused_spans", "otlp", "http"): 7,
        ("otelcol_exporter_enqueue_failed_spans", "postgresql"): 6,
    }


def _until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(int(TIMEOUT / 0.02)):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"waited in vain for {what}")
