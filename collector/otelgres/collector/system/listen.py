"""Opens listening TCP sockets, with helpful errors and an optional limit on open connections."""

import errno
import os
import socket
import sys
from typing import Any

from otelgres.collector.system.network import client_network
from otelgres.collector.system.shares import Shares


class CannotListen(OSError):  # noqa: N818 (named for what the operator is told)
    """The address cannot be used; the message names it and says what to do."""


class BoundedListener(socket.socket):
    """A listening socket (taken over from ``sock``) that closes connections beyond ``most`` open ones at once, which
    clients share by their networks.

    For servers whose protocol sees a connection only after the TLS handshake. Works with event loops that call
    ``accept``, which Windows' proactor does not.
    """

    def __init__(self, sock: socket.socket, most: int) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(False)
        self.open_connections = Shares(most)

    def accept(self) -> tuple[socket.socket, Any]:
        """Like ``socket.accept``. Raises ConnectionAbortedError over the limit, which servers ignore."""
        connection, address = super().accept()
        network = client_network(address[0])
        if not self.open_connections.take(network, 1):
            connection.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "too many connections")
        return _Counted(connection, self.open_connections, network), address


class _Counted(socket.socket):
    def __init__(self, sock: socket.socket, counted: Shares, network: str) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._counted: Shares | None = counted
        self._network = network

    def close(self) -> None:
        counted, self._counted = self._counted, None
        if counted is not None:
            counted.give_back(self._network, 1)
        super().close()


def listen(name: str, host: str, port: int, *, reuse_port: bool, backlog: int) -> socket.socket:
    """A non-blocking socket listening on ``host``:``port`` (0: any free port). Raises CannotListen.

    ``name`` is the protocol, for the message. ``reuse_port`` shares the port among the workers of one receiver; without
    it, a port in use by another process is an error.
    """
    sock = None
    try:
        # For a name with IPv4 and IPv6 addresses (localhost), IPv4 is used, which clients try first or fall back to.
        found = sorted(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), key=lambda a: a[0] != socket.AF_INET)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        if sys.platform == "win32":
            # SO_REUSEADDR on Windows would let a second server take the port from the first.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise CannotListen(error.errno, _sentence(name, host, port, error)) from error
    return sock


def _sentence(name: str, host: str, port: int, error: OSError) -> str:
    where = f"cannot serve {name} on {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the port is in use. Stop the other process, or choose another (--grpc, --http; 0: any)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where}: not permitted. Ports below 1024 are usually reserved; choose a higher one"
    if isinstance(error, socket.gaierror):
        return f"{where}: the host name cannot be resolved ({error.strerror})"
    return f"{where}: {os.strerror(error.errno) if error.errno else error}"
