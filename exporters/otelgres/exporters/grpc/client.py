"""A gRPC client for unary calls, one at a time, over one HTTP/2 connection and blocking sockets.

It starts no thread and has no state outside its objects, so that a process may fork at any moment.
"""

import contextlib
import os
import socket
import threading
import time

from otelgres.exporters.grpc import sockets
from otelgres.exporters.grpc.connection import Connection
from otelgres.exporters.grpc.messages import CallError, Reply, framed, timeout_field
from otelgres.exporters.grpc.metadata import metadata
from otelgres.exporters.target import Target


class GrpcClient:
    """Calls for one thread at a time; ``close`` from any thread."""

    def __init__(self, target: Target, user_agent: str) -> None:
        """Raises ValueError for an endpoint or header that cannot be used. Connects at the first call."""
        self._target = target
        self._address = sockets.parse(target.endpoint)
        self._compress = target.compression == "gzip"
        self._before = [
            (b":method", b"POST"),
            (b":scheme", b"http" if target.insecure else b"https"),
            (b":authority", self._address.authority.encode()),
        ]
        self._after = [
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *([(b"grpc-encoding", b"gzip")] if self._compress else []),
            (b"grpc-accept-encoding", b"identity,gzip"),
            *metadata({"user-agent": user_agent, **target.headers}),
        ]
        self._connection: Connection | None = None
        self._start_process()

    def _start_process(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._calling = False
        self._closed = False

    def unary(self, path: str, message: bytes, timeout: float) -> Reply:
        """Calls method ``path``; Errors are replies with a gRPC status.

        ``timeout`` is seconds for everything but the name's resolution, which the system does not let us end.

        The request is sent a second time if the server says that it has not looked at it, or if a connection that was
        open before turns out to be closed and nothing has arrived since. In the second case a server that stopped at
        that moment may have processed it.
        """
        deadline = time.monotonic() + timeout
        if self._pid != os.getpid():
            self._leave_to_parent()
        with self._lock:
            self._calling = True
        try:
            return self._call(path, framed(message, compress=self._compress), deadline)
        except CallError as failed:
            if self._closed:
                return Reply("CANCELLED", "closed before the answer arrived")
            if failed.code == "DEADLINE_EXCEEDED":
                return Reply(failed.code, f"{failed.details} ({timeout:g} s)")
            return Reply(failed.code, failed.details)
        finally:
            with self._lock:
                self._calling = False
            if self._closed:
                self._disconnect()

    def close(self) -> None:
        """Ends a call in progress, and all later ones at once."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._closed = True
            if self._calling:
                # The calling thread wakes up and closes the socket.
                _shut_down(self._socket)
                return
        self._disconnect()

    def _call(self, path: str, body: bytes, deadline: float) -> Reply:
        connection = self._connection
        if connection is not None and not connection.is_usable():
            self._disconnect()
            connection = None
        reused = connection is not None
        try:
            return self._call_once(connection or self._connect(deadline), path, body, deadline)
        except CallError as failed:
            if not failed.unprocessed and not (reused and failed.disconnected):
                raise
        return self._call_once(self._connect(deadline), path, body, deadline)

    def _call_once(self, connection: Connection, path: str, body: bytes, deadline: float) -> Reply:
        try:
            timeout = timeout_field(deadline - time.monotonic())
            fields = [*self._before, (b":path", path.encode()), (b"grpc-timeout", timeout), *self._after]
            return connection.call(fields, body, deadline)
        except CallError:
            self._disconnect()
            raise

    def _connect(self, deadline: float) -> Connection:
        if self._closed:
            raise CallError("CANCELLED", "closed")
        try:
            self._connection = Connection(sockets.connect(self._target, self._address, deadline, self._opened))
        except CallError:
            self._disconnect()
            raise
        return self._connection

    def _opened(self, sock: socket.socket) -> None:
        with self._lock:
            earlier, self._socket = self._socket, sock
            closed = self._closed
        if earlier is not None:
            earlier.close()
        if closed:
            raise CallError("CANCELLED", "closed")

    def _disconnect(self) -> None:
        self._connection = None
        with self._lock:
            sock, self._socket = self._socket, None
            # Also for a child process that still has a copy of the socket.
            _shut_down(sock)
            if sock is not None:
                sock.close()

    def _leave_to_parent(self) -> None:
        """In a child: closes the copy of the parent's socket. The parent's connection stays as it is."""
        sock, self._connection = self._socket, None
        self._start_process()
        if sock is not None:
            sock.close()


def _shut_down(sock: socket.socket | None) -> None:
    """Wakes the thread that waits for ``sock``. TLS is passed over: its state belongs to that thread."""
    if sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
