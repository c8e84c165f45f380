"""Opens the connection of a gRPC client: addresses, an HTTP proxy, TLS.

Proxies as with gRPC's own clients: ``grpc_proxy``, ``https_proxy`` or ``http_proxy``, in this order and for every
endpoint but loopback and ``no_proxy``, with CONNECT.
"""

import base64
import contextlib
import encodings.idna  # noqa: F401 — used by ssl; importing it in a thread could stop a child that is forked meanwhile
import os
import selectors
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import certifi

from otelgres.exporters.grpc.messages import CallError
from otelgres.exporters.target import Target

# The port that gRPC's own clients use when the endpoint has none.
_DEFAULT_PORT: Final = 443
_PROXY_PORT: Final = 80
_LONGEST_PROXY_ANSWER: Final = 16 * 1024

# OpenSSL has locks of its own, for what connections share. A child that is forked while a thread holds one waits for it
# for ever when it opens a connection itself, so a fork waits for the calls that take them: some milliseconds.
_no_fork = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gRPC server listens: ``host`` and ``port``, or ``path`` of a Unix socket. ``authority`` is a header.

    ``hint`` is added to messages about a connection that failed.
    """

    authority: str
    host: str = ""
    port: int = _DEFAULT_PORT
    path: str = ""
    hint: str = ""


def parse(endpoint: str) -> Address:
    """Parses ``host:port``, ``http://…``, ``https://…``, ``[IPv6]:port`` and ``unix:path``. Raises ValueError."""
    if endpoint.startswith("unix:"):
        path = endpoint.removeprefix("unix:")
        return Address("localhost", path="/" + path.lstrip("/") if path.startswith("/") else path)
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        host, port = (parts.hostname or "").encode("ascii" if endpoint.isascii() else "idna").decode(), parts.port
    except ValueError:
        host, port = "", None
    if not host:
        raise ValueError(f"invalid endpoint {endpoint!r}: use http://HOST:PORT or https://HOST:PORT")
    authority = f"[{host}]" if ":" in host else host
    if port:
        return Address(f"{authority}:{port}", host, port)
    return Address(authority, host, hint=f" (port {_DEFAULT_PORT}: set another one with HOST:PORT)")


def connect(
    target: Target, address: Address, deadline: float, opened: Callable[[socket.socket], None]
) -> socket.socket:
    """A connection that is ready for HTTP/2. ``deadline`` is monotonic seconds.

    Calls ``opened`` with each socket before it is used, so that another thread can shut it down. Raises CallError.
    """
    if address.path:
        return _unix(address.path, deadline, opened)
    proxy = None if target.loopback else _proxy(address)
    sock = _through(proxy, address, deadline, opened) if proxy else _tcp(address, deadline, opened)
    if target.insecure:
        return sock
    return _tls(sock, target, address, deadline, opened)


def remaining(deadline: float) -> float:
    """The seconds until ``deadline``. Raises TimeoutError if it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def reason(error: OSError) -> str:
    """A short text for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
            return "this port does not use TLS: use http:// in the endpoint"
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return error.strerror or str(error) or type(error).__name__


def _unix(path: str, deadline: float, opened: Callable[[socket.socket], None]) -> socket.socket:
    with _failures(""):
        sock = socket.socket(socket.AF_UNIX)
        opened(sock)
        sock.settimeout(remaining(deadline))
        sock.connect(path)
    return sock


def _tcp(address: Address, deadline: float, opened: Callable[[socket.socket], None]) -> socket.socket:
    """Tries all addresses of the host; each gets its share of the time."""
    with _failures(address.hint):
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        failed: OSError | None = None
        for number, (family, kind, protocol, _, where) in enumerate(found):
            try:
                sock = socket.socket(family, kind, protocol)
                opened(sock)
                sock.settimeout(remaining(deadline) / (len(found) - number))
                sock.connect(where)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                failed = error
            else:
                return sock
        raise failed or OSError("no address found")


@contextlib.contextmanager
def _failures(hint: str) -> Iterator[None]:
    """Turns errors of the system into CallError."""
    try:
        yield
    except TimeoutError as error:
        raise CallError("DEADLINE_EXCEEDED", f"no connection in time{hint}") from error
    except OSError as error:
        raise CallError("UNAVAILABLE", f"{reason(error)}{hint}") from error
    except UnicodeError as error:
        raise CallError("UNAVAILABLE", "the host of the endpoint is not a valid name") from error


def _tls(
    sock: socket.socket, target: Target, address: Address, deadline: float, opened: Callable[[socket.socket], None]
) -> socket.socket:
    with _no_fork:
        context = _context(target)
    with _failures(""):
        secured = context.wrap_socket(sock, server_hostname=address.host, do_handshake_on_connect=False)
        opened(secured)
        _shake_hands(secured, deadline)
        if secured.selected_alpn_protocol() != "h2":
            raise OSError("the server does not offer HTTP/2 (TLS ALPN): use its gRPC port, or http/protobuf")
    return secured


def _shake_hands(sock: ssl.SSLSocket, deadline: float) -> None:
    """The handshake of TLS; a fork waits for its steps, not for the server."""
    sock.settimeout(0)
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        while True:
            try:
                with _no_fork:
                    return sock.do_handshake()
            except ssl.SSLWantReadError:
                selector.modify(sock, selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                selector.modify(sock, selectors.EVENT_WRITE)
            if not selector.select(remaining(deadline)):
                raise TimeoutError


def _context(target: Target) -> ssl.SSLContext:
    """Read again for each connection, so that renewed certificates are used."""
    try:
        context = ssl.create_default_context(cafile=target.certificate)
        if not target.certificate:
            context.load_verify_locations(certifi.where())
        if target.client_certificate:
            context.load_cert_chain(target.client_certificate, target.client_key)
    except OSError as error:
        raise CallError("UNAVAILABLE", f"cannot load the certificates of the target: {reason(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As in gRPC's own clients, on every Python: an intermediate or server certificate may be trusted directly, and
    # private CAs may leave out the extensions that Python 3.13 and later ask for.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2"])
    return context


@dataclass(frozen=True, slots=True)
class _Proxy:
    address: Address
    authorization: str


def _proxy(address: Address) -> _Proxy | None:
    proxies = urllib.request.getproxies()
    found = next((proxies[name] for name in ("grpc", "https", "http") if proxies.get(name)), None)
    if found is None or urllib.request.proxy_bypass(f"{address.host}:{address.port}"):
        return None
    try:
        parts = urlsplit(found if "://" in found else f"http://{found}")
        host, port = parts.hostname if parts.scheme == "http" else None, parts.port or _PROXY_PORT
    except ValueError:
        host = None
    if not host:
        # Without its value, which may contain a password.
        raise CallError("UNAVAILABLE", "the proxy of https_proxy or http_proxy is not http://HOST:PORT")
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username is not None else ""
    return _Proxy(Address(f"{host}:{port}", host, port), base64.b64encode(user.encode()).decode())


def _through(
    proxy: _Proxy, address: Address, deadline: float, opened: Callable[[socket.socket], None]
) -> socket.socket:
    there = f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
    lines = [f"CONNECT {there} HTTP/1.1", f"Host: {there}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: Basic {proxy.authorization}")
    try:
        sock = _tcp(proxy.address, deadline, opened)
        with _failures(""):
            sock.settimeout(remaining(deadline))
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            status = _proxy_status(sock, deadline)
    except CallError as failed:
        raise CallError(failed.code, f"proxy {proxy.address.authority}: {failed.details}") from failed
    words = status.split(None, 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].startswith("2"):
        raise CallError("UNAVAILABLE", f"proxy {proxy.address.authority} refused the connection: {status[:100]}")
    return sock


def _proxy_status(sock: socket.socket, deadline: float) -> str:
    """The first line of the proxy's answer. Byte by byte: what follows the answer is the server's."""
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        sock.settimeout(remaining(deadline))
        byte = sock.recv(1)
        if not byte or len(answer) > _LONGEST_PROXY_ANSWER:
            break
        answer += byte
    line = bytes(answer).partition(b"\r\n")[0].decode("latin-1")
    return line if line.isprintable() and line else "an answer that is not HTTP"
