"""How the gRPC client connects: addresses, TLS, proxies; and how another thread ends a call."""

import base64
import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from otelgres.exporters.grpc.client import GrpcClient
from otelgres.exporters.grpc.messages import Reply
from tests.acceptance.certificates import Authority, Pair
from tests.library.grpc_servers import TIMEOUT, Peer, client, real_server, stub
from tests.library.otlp_receiver import run_app, unused_port

METHOD = "/a.Service/Call"
PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "no_proxy", "all_proxy")


def echo(message: bytes, context: Any) -> bytes:
    return message


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="module")
def server_pair(ca: Authority) -> Pair:
    return ca.pair("server", "serverAuth")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with real_server(echo) as port:
        yield port


@pytest.fixture(scope="module")
def tls_port(server_pair: Pair) -> Iterator[int]:
    credentials = grpc.ssl_server_credentials([(server_pair.key.read_bytes(), server_pair.cert.read_bytes())])
    with real_server(echo, credentials=credentials) as port:
        yield port


def answer_of(one: GrpcClient, timeout: float = 30) -> Reply:
    reply = one.unary(METHOD, b"here", timeout)
    one.close()
    return reply


def tls(port: int, **changes: Any) -> GrpcClient:
    return client(port, **{"endpoint": f"https://localhost:{port}", "insecure": False, **changes})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
@pytest.mark.parametrize("form", ["{}:{}", "http://{}:{}", "http://{}:{}/a/path", "http://user@{}:{}"])
def test_forms_of_endpoints(port: int, host: str, form: str) -> None:
    assert answer_of(client(port, endpoint=form.format(host, port))).body == b"here"


def test_an_ipv6_address() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with real_server(echo, "[::1]:0") as port:
            assert answer_of(client(port, endpoint=f"http://[::1]:{port}")).body == b"here"
    except RuntimeError:
        pytest.skip("no IPv6 loopback here")


@pytest.mark.parametrize("form", ["unix:{}", "unix://{}"])
def test_a_unix_socket(tmp_path: Path, form: str) -> None:
    path = tmp_path / "s"
    with real_server(echo, f"unix:{path}"):
        assert answer_of(client(0, endpoint=form.format(path))).body == b"here"
    assert answer_of(client(0, endpoint=f"unix:{path}.none")) == Reply("UNAVAILABLE", "No such file or directory")


def test_no_connection_has_a_short_reason() -> None:
    port = unused_port()
    assert answer_of(client(port)) == Reply("UNAVAILABLE", "Connection refused")
    no_port = answer_of(client(0, endpoint="http://127.0.0.7"))
    assert no_port == Reply("UNAVAILABLE", "Connection refused (port 443: set another one with HOST:PORT)")
    assert answer_of(client(0, endpoint="http://no-such-host.invalid:1")).code == "UNAVAILABLE"
    assert answer_of(client(0, endpoint=f"http://{'a' * 70}.invalid:1")).code == "UNAVAILABLE"


@pytest.mark.parametrize("endpoint", ["", "http://", "host:port", "http://[::1", "http://ä..b:1"])
def test_an_invalid_endpoint_is_named(endpoint: str) -> None:
    with pytest.raises(ValueError, match="use http://HOST:PORT"):
        client(0, endpoint=endpoint)


def test_tls_trusts_the_given_authority(tls_port: int, ca: Authority) -> None:
    one = tls(tls_port, certificate=str(ca.cert))
    assert [one.unary(METHOD, bytes(300_000), 30).body for _ in range(2)] == [bytes(300_000)] * 2
    one.close()


def test_tls_trusts_nobody_else(tls_port: int, tmp_path: Path) -> None:
    for certificate in (None, str(Authority(tmp_path / "theirs").cert)):
        reply = answer_of(tls(tls_port, certificate=certificate))
        assert (reply.code, reply.details.partition(":")[0]) == ("UNAVAILABLE", "TLS")
        assert "certificate" in reply.details


def test_tls_checks_the_name_of_the_server(server_pair: Pair, ca: Authority) -> None:
    credentials = grpc.ssl_server_credentials([(server_pair.key.read_bytes(), server_pair.cert.read_bytes())])
    with real_server(echo, "127.0.0.2:0", credentials) as port:
        reply = answer_of(tls(port, endpoint=f"https://127.0.0.2:{port}", certificate=str(ca.cert)))
    assert reply.code == "UNAVAILABLE"
    assert "127.0.0.2" in reply.details


def test_a_client_certificate_is_shown(server_pair: Pair, ca: Authority, tmp_path: Path) -> None:
    pair = ca.pair("client", "clientAuth")
    credentials = grpc.ssl_server_credentials(
        [(server_pair.key.read_bytes(), server_pair.cert.read_bytes())], ca.cert.read_bytes(), True
    )
    mine = {"client_certificate": str(pair.cert), "client_key": str(pair.key)}
    with real_server(echo, credentials=credentials) as port:
        assert answer_of(tls(port, certificate=str(ca.cert), **mine)).body == b"here"
        assert answer_of(tls(port, certificate=str(ca.cert))).code == "UNAVAILABLE"
        missing = answer_of(tls(port, certificate=str(tmp_path / "none")))
    assert missing == Reply("UNAVAILABLE", "cannot load the certificates of the target: No such file or directory")


def test_tls_and_plaintext_are_told_apart(port: int, tls_port: int, ca: Authority) -> None:
    plain = answer_of(tls(port, certificate=str(ca.cert)))
    assert plain == Reply("UNAVAILABLE", "this port does not use TLS: use http:// in the endpoint")
    assert answer_of(client(tls_port)).code == "UNAVAILABLE"


def test_a_server_without_http2_is_named(server_pair: Pair, ca: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pair.cert, server_pair.key)

    def run(peer: Peer) -> None:
        context.wrap_socket(peer.sock, server_side=True).recv(1)

    with stub(run) as server:
        reply = answer_of(tls(server.port, certificate=str(ca.cert)))
    assert reply.code == "UNAVAILABLE"
    assert reply.details.startswith("the server does not offer HTTP/2 (TLS ALPN)")


FORK_WHILE_LOCKED = """
import os, threading
from otelgres.exporters.grpc import sockets
held = threading.Event()
def hold():
    with sockets._no_fork: held.set(); threading.Event().wait(0.3)
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if not child: os._exit(0 if sockets._no_fork.acquire(timeout=0) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sockets._no_fork.locked())
"""


def test_a_fork_waits_for_openssl() -> None:
    assert run_app(FORK_WHILE_LOCKED).stdout == "0 False\n"


class Proxy:
    """An HTTP proxy with CONNECT. Keeps the requests; with ``status`` it refuses."""

    def __init__(self, status: str = "200 OK") -> None:
        self.requests: list[bytes] = []
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pool = ThreadPoolExecutor(4)
        self._pool.submit(self._accept)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._pool.shutdown()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._pool.submit(self._serve, self._listener.accept()[0])

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += sock.recv(1)
            self.requests.append(request)
            sock.sendall(f"HTTP/1.1 {self._status}\r\nServer: x\r\n\r\n".encode())
            if self._status.startswith("2"):
                host, _, port = request.split()[1].decode().rpartition(":")
                with socket.create_connection((host, int(port))) as there:
                    _copy(sock, there)


def _copy(one: socket.socket, two: socket.socket) -> None:
    while True:
        for ready in select.select([one, two], [], [], TIMEOUT)[0]:
            data = ready.recv(65536)
            if not data:
                return
            (two if ready is one else one).sendall(data)


@contextmanager
def proxy(monkeypatch: pytest.MonkeyPatch, *status: str, user: str = "") -> Iterator[Proxy]:
    running = Proxy(*status)
    monkeypatch.setenv("https_proxy", f"http://{user}127.0.0.1:{running.port}")
    try:
        yield running
    finally:
        running.close()


def test_a_proxy_is_asked_to_connect(monkeypatch: pytest.MonkeyPatch, port: int, tls_port: int, ca: Authority) -> None:
    with proxy(monkeypatch, user="me:p%40ss@") as running:
        assert answer_of(client(port, loopback=False)).body == b"here"
        assert answer_of(tls(tls_port, loopback=False, certificate=str(ca.cert))).body == b"here"
        authorization = base64.b64encode(b"me:p@ss").decode()
        assert running.requests == [
            f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\nProxy-Authorization: Basic {authorization}\r\n\r\n".encode()
            for there in (f"127.0.0.1:{port}", f"localhost:{tls_port}")
        ]


def test_a_proxy_is_left_out_for_loopback_and_no_proxy(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    with proxy(monkeypatch) as running:
        assert answer_of(client(port)).body == b"here"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert answer_of(client(port, loopback=False)).body == b"here"
        assert running.requests == []


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    with proxy(monkeypatch, "407 Proxy Authentication Required") as running:
        assert answer_of(client(port, loopback=False)) == Reply(
            "UNAVAILABLE",
            f"proxy 127.0.0.1:{running.port} refused the connection: HTTP/1.1 407 Proxy Authentication Required",
        )
    gone = answer_of(client(port, loopback=False))
    assert gone == Reply("UNAVAILABLE", f"proxy 127.0.0.1:{running.port}: Connection refused")
    for value in ("socks5://u:secret@127.0.0.1:1", "http://127.0.0.1:x"):
        monkeypatch.setenv("https_proxy", value)
        reply = answer_of(client(port, loopback=False))
        assert reply == Reply("UNAVAILABLE", "the proxy of https_proxy or http_proxy is not http://HOST:PORT")


def test_a_proxy_that_does_not_answer_costs_the_deadline(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    def silent(peer: Peer) -> None:
        while peer.sock.recv(1 << 16):
            pass

    with stub(silent) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        reply = answer_of(client(port, loopback=False), 0.3)
        assert reply.code == "DEADLINE_EXCEEDED"


@contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue is full: to connect takes for ever."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextmanager
def silent_listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("listener", [full_listener, silent_listener])
@pytest.mark.parametrize("secure", [False, True])
def test_another_thread_ends_a_call(listener: Callable[[], Any], secure: bool) -> None:
    with listener() as port:
        assert answer_of((tls if secure else client)(port), 0.2).code == "DEADLINE_EXCEEDED"
        one = (tls if secure else client)(port)
        replies: list[Reply] = []
        thread = threading.Thread(target=lambda: replies.append(one.unary(METHOD, bytes(10**7), 120)))
        thread.start()
        threading.Event().wait(0.2)  # so that it most likely waits in the system; without it the test passes as well
        began = time.monotonic()
        one.close()
        thread.join(TIMEOUT)
        assert time.monotonic() - began < 20
        assert replies == [Reply("CANCELLED", "closed before the answer arrived")]
        assert one.unary(METHOD, b"", 10).code == "CANCELLED"
