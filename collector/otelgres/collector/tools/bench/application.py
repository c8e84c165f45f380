"""The CPU cost of telemetry in an application: with a receiver, without one, storing directly, not configured.

The calls run in a separate process that uses otel_setup.
"""

import socket
from collections.abc import Callable, Mapping
from typing import TypeAlias

from otelgres.collector.tools.bench.processes import receiver, worker
from otelgres.collector.tools.bench.server import Server

# Call -> microseconds of CPU per call, in the calling thread and in the whole process with its export threads.
Costs: TypeAlias = Mapping[str, Mapping[str, float]]


def measure(server: Server, calls: int, advance: Callable[[], None]) -> dict[str, Costs]:
    """Costs by situation, from ``calls`` calls of each kind; calls ``advance`` after each. Raises ProcessError."""
    found = {}
    with server.fresh_database() as dsn, receiver(dsn) as target:
        found["present"] = _costs("present", f"http://{target.grpc}", calls)
    advance()
    with server.fresh_database() as dsn:
        found["logger"] = _costs("logger", dsn, calls)
    advance()
    for situation, endpoint in (("absent", f"http://127.0.0.1:{_free_port()}"), ("unconfigured", "-")):
        found[situation] = _costs(situation, endpoint, calls)
        advance()
    return found


def _costs(situation: str, endpoint: str, calls: int) -> Costs:
    arguments = ("-m", "otel_setup.bench.calls", situation, endpoint, str(calls))
    with worker("the application", *arguments) as application:
        costs: Costs = application.answer()
        return costs


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
