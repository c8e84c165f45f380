"""Shares gRPC's connections between clients, by address: closes some of whoever has too many when they run out.

grpc-core accepts connections itself, up to its limit, and does not tell whose they are. They are found among the
process's open files, where the system lists these (Linux, macOS).
"""

import asyncio
import os
import socket
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final

from otelgres.collector.system.network import client_network
from otelgres.collector.system.shares import Shares

_SECONDS: Final = 1.0
# While somebody keeps opening them: others can connect in between.
_SECONDS_AFTER_CLOSING: Final = 0.1
_OPEN_FILES: Final = next((path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.is_dir()), None)


async def share_connections(port: int, most: int) -> None:
    """Until cancelled, keeps the connections to ``port`` within :class:`Shares` of ``most``."""
    while _OPEN_FILES is not None:
        closed = close_over_share(port, most)
        await asyncio.sleep(_SECONDS_AFTER_CLOSING if closed else _SECONDS)


def close_over_share(port: int, most: int) -> int:
    """Closes the connections to ``port`` that the shares of their clients do not allow; returns how many."""
    assert _OPEN_FILES is not None
    names = [path.name for path in _OPEN_FILES.iterdir()]
    if len(names) <= most // 2:
        # Even one client alone may have as many.
        return 0
    found: defaultdict[str, list[socket.socket]] = defaultdict(list)
    try:
        for name in names:
            connection = _connection(int(name), port)
            if connection is not None:
                found[client_network(connection.getpeername()[0])].append(connection)
        return _close(found, most)
    finally:
        for connections in found.values():
            for connection in connections:
                connection.close()


def _connection(descriptor: int, port: int) -> socket.socket | None:
    """A copy of the descriptor, if it is a connection to the port."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    try:
        connection = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
    with suppress(OSError, IndexError, TypeError):
        if connection.getsockname()[1] == port and connection.getpeername():
            return connection
    connection.close()
    return None


def _close(found: dict[str, list[socket.socket]], most: int) -> int:
    # As if they came now, in turn, one of each client: who has few keeps all.
    shares = Shares(most)
    closed = 0
    left = {network: iter(connections) for network, connections in found.items()}
    while left:
        for network in list(left):
            connection = next(left[network], None)
            if connection is None:
                del left[network]
            elif not shares.take(network, 1):
                closed += 1
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
    return closed
