"""What is beside OTLP on the HTTP port, CORS, and how the server behaves in its process."""

import asyncio
import json
import logging
import re
import signal as signals
from collections.abc import Mapping
from typing import Any

import pytest

from otelgres.collector.otlp.http_app import Page
from otelgres.collector.otlp.http_server import serve_http
from otelgres.collector.system.listen import CannotListen
from otelgres.exporters.outcome import Accepted, Outcome
from tests.acceptance.http_client import (
    JSON,
    LINE,
    PROTOBUF,
    always_ready,
    ask,
    post,
    raw,
    serving,
    until_closed,
)
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue


def test_health_and_readiness(loop: LoopThread, stub: StubQueue, caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = [(True, {"schema": 7}), (False, {"reason": "no database"}), RuntimeError("secret")]

    async def ready() -> tuple[bool, Mapping[str, Any]]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    with serving(loop, stub, ready=ready) as port:
        alive = ask(port, "GET", "/healthz")
        assert (alive.status, alive.headers["Content-Type"], json.loads(alive.body)) == (200, JSON, {"status": "alive"})
        answers = [ask(port, "GET", "/readyz") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 503, 503]
        assert json.loads(answers[0].body) == {"status": "ready", "schema": 7}
        assert json.loads(answers[1].body) == {"status": "not ready", "reason": "no database"}
        assert b"secret" not in answers[2].body
        head = ask(port, "HEAD", "/healthz")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(alive.body)))


def test_further_pages(loop: LoopThread, stub: StubQueue) -> None:
    async def metrics() -> Page:
        return Page(200, "text/plain; version=0.0.4", b"up 1\n")

    with serving(loop, stub, pages={"/metrics": metrics}) as port:
        answer = ask(port, "GET", "/metrics")
        assert (answer.status, answer.headers["Content-Type"], answer.body) == (
            200,
            "text/plain; version=0.0.4",
            b"up 1\n",
        )


def test_the_server_does_not_introduce_itself(port: int) -> None:
    assert post(port).headers["Server"] is None


ORIGIN = "https://app.example"


def test_cors_is_off_unless_configured(port: int) -> None:
    assert ask(port, "OPTIONS", "/v1/traces", Origin=ORIGIN, Access_Control_Request_Method="POST").status == 405
    answer = post(port, Origin=ORIGIN)
    assert answer.headers["Access-Control-Allow-Origin"] is None
    assert answer.headers["Vary"] is None


def test_cors_for_a_configured_origin(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub, cors_origins=["https://other.example", "https://App.example/"]) as port:
        preflight = ask(
            port,
            "OPTIONS",
            "/v1/traces",
            Origin=ORIGIN,
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="x-api-key, content-type",
        )
        assert (preflight.status, preflight.body) == (204, b"")
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
        allowed = {name.strip() for name in preflight.headers["Access-Control-Allow-Headers"].split(",")}
        assert allowed == {"content-type", "content-encoding", "x-api-key"}
        for answer in (
            post(port, LINE, JSON, Origin=ORIGIN),
            post(port, b"bad", JSON, Origin=ORIGIN),
            post(port, b"", "a/b", Origin=ORIGIN),
        ):
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert answer.headers["Vary"] == "Origin"
        for origin in ("https://evil.example", "null", "https://app.example.evil", "http://app.example"):
            answer = post(port, Origin=origin)
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, None)
            assert answer.headers["Vary"] == "Origin"


def test_cors_echoes_nothing_but_header_names(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub, cors_origins=["*"]) as port:
        answer = ask(port, "OPTIONS", "/v1/logs", Origin=ORIGIN, Access_Control_Request_Headers='x"<script>')
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type, content-encoding"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Credentials"] is None


def test_a_port_in_use_is_an_error_that_names_it(loop: LoopThread, port: int, stub: StubQueue) -> None:
    with pytest.raises(CannotListen, match=rf"OTLP/HTTP on 127\.0\.0\.1:{port}: the port is in use"):
        loop.run(serve_http(stub.pipeline(), "127.0.0.1", port, ready=always_ready))
    assert post(port).status == 200


def test_an_address_that_is_not_ours(loop: LoopThread, stub: StubQueue) -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(CannotListen, match=f"cannot serve OTLP/HTTP on {re.escape(host)}:0"):
            loop.run(serve_http(stub.pipeline(), host, 0, ready=always_ready))


def test_workers_may_share_a_port(loop: LoopThread, stub: StubQueue) -> None:
    with serving(loop, stub, reuse_port=True) as port:
        second = loop.run(serve_http(stub.pipeline(), "127.0.0.1", port, ready=always_ready, reuse_port=True))
        assert second.port == port
        loop.run(second.stop(0))


def test_signals_and_logging_stay_the_process_s_own(stub: StubQueue) -> None:
    def handlers() -> list[Any]:
        return [signals.getsignal(number) for number in (signals.SIGINT, signals.SIGTERM)]

    async def serve() -> None:
        before = handlers()
        server = await serve_http(stub.pipeline(), "127.0.0.1", 0, ready=always_ready)
        assert handlers() == before
        await server.stop(0)
        assert handlers() == before

    asyncio.run(serve())
    assert logging.getLogger("uvicorn").handlers == logging.getLogger("uvicorn.error").handlers == []
    assert logging.getLogger("uvicorn").propagate


def test_stop_waits_for_requests_in_flight(loop: LoopThread, stub: StubQueue) -> None:
    released = asyncio.Event()

    async def wait() -> Outcome:
        await released.wait()
        return Accepted()

    stub.outcomes = [wait]
    server = loop.run(serve_http(stub.pipeline(), "127.0.0.1", 0, ready=always_ready))
    with raw(server.port) as idle, raw(server.port) as sock:
        sock.sendall(
            f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 1\r\n\r\nx".encode()
        )
        loop.run(stub.until(1))
        stopping = loop.start(server.stop(TIMEOUT))
        assert until_closed(idle) == b""
        loop.loop.call_soon_threadsafe(released.set)
        assert until_closed(sock).startswith(b"HTTP/1.1 200 ")
        stopping.result(TIMEOUT)
    with pytest.raises(OSError), raw(server.port):  # noqa: PT011
        pass


def test_stop_answers_what_takes_too_long_so_that_it_is_retried(loop: LoopThread, stub: StubQueue) -> None:
    async def wait_forever() -> Outcome:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    stub.outcomes = [wait_forever]
    server = loop.run(serve_http(stub.pipeline(), "127.0.0.1", 0, ready=always_ready))
    with raw(server.port) as sock:
        sock.sendall(
            f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )
        loop.run(stub.until(1))
        loop.run(server.stop(0.1))
        answer = until_closed(sock)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer
