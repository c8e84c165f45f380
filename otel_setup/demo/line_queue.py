"""A minimal message queue: JSON objects, one per line, over TCP on loopback, queued in the consumer's memory."""

import json
import queue
import socket
import socketserver
import threading
from types import TracebackType
from typing import Any, Self


class Inbox:
    """The consumer's side, listening on a free ``port``. ``receive`` is thread-safe."""

    def __init__(self) -> None:
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        messages = self._messages

        class QueueConnection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    messages.put(json.loads(line))

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), QueueConnection)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __len__(self) -> int:
        return self._messages.qsize()

    def receive(self) -> dict[str, Any] | None:
        """Waits for the next message; None when the queue is closed and empty."""
        message = self._messages.get()
        if message is None:
            self._messages.put(None)  # for the other consumers
        return message

    def close(self) -> None:
        """Stops accepting connections; returns when the senders have closed the open ones."""
        self._server.shutdown()
        self._server.server_close()
        self._messages.put(None)


class Outbox:
    """A producer's side. ``send`` is thread-safe."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Sends ``message``. Raises OSError if the consumer is gone."""
        with self._lock:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
