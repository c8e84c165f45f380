"""TLS and mutual TLS on both listeners: the SDK's own exporters, certificates that change, and clients that dawdle."""

import os
import shutil
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from otelgres.collector.otlp.grpc_server import CallLimits, serve_grpc
from otelgres.collector.otlp.http_protocol import ConnectionLimits
from otelgres.collector.otlp.http_server import serve_http
from otelgres.collector.security.tls import Certificates, TlsFiles, TlsUnusable
from tests.acceptance.certificates import Authority, Pair
from tests.acceptance.http_client import always_ready, until_closed
from tests.acceptance.stub_queue import TIMEOUT, LoopThread, StubQueue

LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    # For the requests library, which the HTTP exporter uses, these beat the CA that the exporter is given.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "ours")


@pytest.fixture(scope="module")
def server(ca: Authority) -> Pair:
    return ca.pair("server", "serverAuth")


@pytest.fixture(scope="module")
def client(ca: Authority) -> Pair:
    return ca.pair("client", "clientAuth")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A client certificate of somebody else's CA."""
    return Authority(tmp_path_factory.mktemp("other") / "theirs").pair("client", "clientAuth")


@pytest.fixture
def stub() -> StubQueue:
    return StubQueue()


@contextmanager
def grpc_receiver(loop: LoopThread, stub: StubQueue, certificates: Certificates, **options: Any) -> Iterator[int]:
    credentials = certificates.grpc_credentials
    server = loop.run(serve_grpc(stub.pipeline(), "127.0.0.1", 0, credentials=credentials, **options))
    try:
        yield server.port
    finally:
        loop.run(server.stop(0))


@contextmanager
def http_receiver(loop: LoopThread, stub: StubQueue, certificates: Certificates, **options: Any) -> Iterator[int]:
    context = certificates.http_context()
    server = loop.run(serve_http(stub.pipeline(), "127.0.0.1", 0, ready=always_ready, tls=context, **options))
    try:
        yield server.port
    finally:
        loop.run(server.stop(0))


def over_grpc(port: int, ca: Path, pair: Pair | None) -> Any:
    credentials = grpc.ssl_channel_credentials(
        ca.read_bytes(), *((pair.key.read_bytes(), pair.cert.read_bytes()) if pair else (None, None))
    )
    return GrpcExporter(f"https://127.0.0.1:{port}", credentials=credentials, timeout=1)


def over_http(port: int, ca: Path, pair: Pair | None) -> Any:
    return HttpExporter(
        f"https://127.0.0.1:{port}/v1/traces",
        certificate_file=str(ca),
        client_certificate_file=str(pair.cert) if pair else None,
        client_key_file=str(pair.key) if pair else None,
        timeout=1,
    )


LISTENERS = pytest.mark.parametrize(
    ("listener", "exporter"), [(grpc_receiver, over_grpc), (http_receiver, over_http)], ids=["grpc", "http"]
)
Make = Callable[..., Any]


def export(exporter: Any) -> bool:
    with_span = TracerProvider(shutdown_on_exit=False)
    span = with_span.get_tracer("t").start_span("a span")
    span.end()
    try:
        return bool(exporter.export([span]) is SpanExportResult.SUCCESS)
    finally:
        exporter.shutdown()


@LISTENERS
def test_exporters_send_over_tls_and_only_over_tls(
    loop: LoopThread,
    stub: StubQueue,
    ca: Authority,
    server: Pair,
    foreign: Pair,
    listener: Make,
    exporter: Make,
) -> None:
    with listener(loop, stub, Certificates(TlsFiles(server.cert, server.key))) as port:
        assert export(exporter(port, ca.cert, None))
        assert len(stub.batches) == 1
        assert not export(exporter(port, foreign.cert, None)), "a client that does not know our CA must not send"
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        plain.sendall(b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b" 200 " not in until_closed(plain)
        plain.close()
    assert len(stub.batches) == 1


@LISTENERS
def test_mutual_tls_wants_a_certificate_of_the_client_ca(
    loop: LoopThread,
    stub: StubQueue,
    ca: Authority,
    server: Pair,
    client: Pair,
    foreign: Pair,
    listener: Make,
    exporter: Make,
) -> None:
    with listener(loop, stub, Certificates(TlsFiles(server.cert, server.key, ca.cert))) as port:
        assert export(exporter(port, ca.cert, client))
        assert not export(exporter(port, ca.cert, None))
        assert not export(exporter(port, ca.cert, foreign))
        # A certificate for servers is no proof of being a client.
        assert not export(exporter(port, ca.cert, server))
    assert len(stub.batches) == 1


@LISTENERS
def test_versions_before_1_2_are_refused(
    loop: LoopThread, stub: StubQueue, server: Pair, listener: Make, exporter: Make
) -> None:
    with listener(loop, stub, Certificates(TlsFiles(server.cert, server.key))) as port:
        for version, accepted in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            # Otherwise our own side would already refuse to offer it.
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.set_alpn_protocols(["h2", "http/1.1"])
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_1, version
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
                if accepted:
                    assert context.wrap_socket(sock).version() == "TLSv1.2"
                else:
                    with pytest.raises(ssl.SSLError, match=r"(?i)alert|version|eof"):
                        context.wrap_socket(sock)


def _subject_seen_by(port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock, context.wrap_socket(sock) as tls:
        der = tls.getpeercert(binary_form=True)
    assert der
    return ssl.DER_cert_to_PEM_cert(der)


def _replace(pair: Pair, by: Pair) -> None:
    shutil.copy(by.cert, pair.cert)
    shutil.copy(by.key, pair.key)


def _pem(pair: Pair) -> str:
    return pair.cert.read_text().strip()


@LISTENERS
def test_changed_certificates_are_used_by_the_next_connection(
    loop: LoopThread, stub: StubQueue, ca: Authority, tmp_path: Path, listener: Make, exporter: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    first, second = (ca.pair(f"{listener.__name__}-{name}", "serverAuth") for name in ("first", "second"))
    used = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    _replace(used, first)
    with listener(loop, stub, Certificates(TlsFiles(used.cert, used.key))) as port:
        assert _subject_seen_by(port).strip() == _pem(first)
        shutil.copy(second.cert, used.cert)
        assert _subject_seen_by(port).strip() == _pem(first), "half of a pair must not be used"
        assert [record.levelname for record in caplog.records if record.name == "otelgres.collector.security.tls"] == [
            "ERROR"
        ]
        shutil.copy(second.key, used.key)
        assert _subject_seen_by(port).strip() == _pem(second)
        assert export(exporter(port, ca.cert, None))
        used.cert.unlink()
        assert _subject_seen_by(port).strip() == _pem(second)


def test_a_client_ca_that_changes_shuts_out_the_old_one_s_clients(
    loop: LoopThread, stub: StubQueue, ca: Authority, server: Pair, client: Pair, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "next")
    trusted = tmp_path / "trusted.pem"
    shutil.copy(ca.cert, trusted)
    certificates = Certificates(TlsFiles(server.cert, server.key, trusted))
    with (
        grpc_receiver(loop, stub, certificates) as grpc_port,
        http_receiver(loop, stub, certificates) as http_port,
    ):
        exporters: Any = ((over_grpc, grpc_port), (over_http, http_port))
        assert all(export(exporter(port, ca.cert, client)) for exporter, port in exporters)
        shutil.copy(other.cert, trusted)
        assert not any(export(exporter(port, ca.cert, client)) for exporter, port in exporters)
        new = other.pair("client", "clientAuth")
        assert all(export(exporter(port, ca.cert, new)) for exporter, port in exporters)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda pair, ca: pair.cert.unlink(), "No such file"),
        (lambda pair, ca: pair.cert.write_text("nonsense"), "tls_cert"),
        (lambda pair, ca: pair.key.write_bytes((ca.parent / "ca.key").read_bytes()), "do not match"),
        (
            lambda pair, ca: os.system(
                f"openssl ec -in {ca.parent}/ca.key -aes128 -passout pass:x -out {pair.key} 2>&1"
            ),
            "the key is encrypted",
        ),
    ],
    ids=["missing", "nonsense", "mismatch", "encrypted"],
)
def test_files_that_cannot_be_used_are_named(
    ca: Authority, server: Pair, tmp_path: Path, break_it: Any, words: str
) -> None:
    pair = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    _replace(pair, server)
    break_it(pair, ca.cert)
    with pytest.raises(TlsUnusable, match=words) as caught:
        Certificates(TlsFiles(pair.cert, pair.key))
    assert "cert.pem" in str(caught.value)
    with pytest.raises(TlsUnusable, match="tls_client_ca"):
        Certificates(TlsFiles(server.cert, server.key, tmp_path / "nowhere"))


def test_handshakes_that_never_end_are_ended_and_counted(
    loop: LoopThread, stub: StubQueue, ca: Authority, server: Pair
) -> None:
    certificates = Certificates(TlsFiles(server.cert, server.key))
    limits = ConnectionLimits(handshake_seconds=0.3)
    with http_receiver(loop, stub, certificates, connection_limits=limits) as port:
        for sent in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
                sock.sendall(sent)
                assert until_closed(sock) == b""
    with grpc_receiver(loop, stub, certificates, limits=CallLimits(handshake_seconds=0.3)) as port:
        for sent in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
                sock.sendall(sent)
                until_closed(sock)
    # Two that do not shake hands take the two places; when they go, there is room again.
    two = ConnectionLimits(connections=2)
    with http_receiver(loop, stub, certificates, connection_limits=two) as port:
        idle = [socket.create_connection(("127.0.0.1", port), TIMEOUT) for _ in range(2)]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _subject_seen_by(port)
        for sock in idle:
            sock.close()
        while True:
            try:
                _subject_seen_by(port)
                break
            except (ssl.SSLError, ConnectionError):
                continue  # the server has not read the end of the two yet
    with grpc_receiver(loop, stub, certificates, max_connections=2) as port:
        idle = [socket.create_connection(("127.0.0.1", port), TIMEOUT) for _ in range(2)]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _subject_seen_by(port)
        for sock in idle:
            sock.close()
