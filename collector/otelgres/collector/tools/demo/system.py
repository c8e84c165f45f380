"""The sample system as processes: started in the order in which they need each other, ended in the order in which they
are done.

Refuses to know what they do, and imports none of it: they are modules started by name.
"""

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from otelgres.collector.tools.demo.child import Child, ChildError
from otelgres.collector.tools.demo.customers import Customers
from otelgres.exporters.extras import EXTRAS

RUN = "otelgres.demo.run"
SERVICES = ("shop", "stock", "shipping")
_START_SECONDS = 60.0
_END_SECONDS = 30.0


class Endpoints(NamedTuple):
    """URLs of OTLP: where it takes gRPC, and where it takes HTTP (None: what would use it uses gRPC)."""

    grpc: str
    http: str | None = None


@dataclass(frozen=True)
class SentItems:
    """What left the sample system: its own count of records by service, and the answers that its customers got."""

    spans: Mapping[str, int] = field(default_factory=dict)
    logs: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    flushed: bool = True

    @property
    def records(self) -> int:
        """Spans and log records."""
        return sum(self.spans.values()) + sum(self.logs.values())


def missing_packages() -> list[str]:
    """Names of the packages that the sample system needs and that are not installed."""
    return [name for name in EXTRAS["demo"] if importlib.util.find_spec(name) is None]


def run_system(to: Endpoints, run: str, seconds: float, progress: Callable[[float, int], None]) -> SentItems:
    """Runs the sample system for ``seconds`` and ends it; what it has sent is committed when this returns.

    ``run`` marks everything it sends, as resource attribute ``otelgres.demo.run``. Raises ChildError.
    """
    with _started(to, run) as (children, shop_port):
        customers = Customers(shop_port)
        customers.come(seconds, progress)
        spans: dict[str, int] = {}
        logs: dict[str, int] = {}
        flushed = True
        for name in SERVICES:  # the shop first: when it is gone, nobody calls the others
            children[name].ask_to_stop()
            said = children[name].line(_END_SECONDS)
            try:
                spans[name], logs[name] = int(said["spans"]), int(said["logs"])
            except (KeyError, TypeError, ValueError):
                raise ChildError(f"{name} said something else than expected: {said}") from None
            flushed = flushed and said.get("flushed") is True
        return SentItems(spans, logs, Counter(customers.answers), flushed)


@contextmanager
def _started(to: Endpoints, run: str) -> Iterator[tuple[dict[str, Child], int]]:
    with ExitStack() as stack:
        children: dict[str, Child] = {}

        def start(name: str, env: Mapping[str, str], *arguments: str) -> None:
            children[name] = stack.enter_context(Child(name, f"otel_setup.demo.{name}", arguments, env))

        def port(name: str) -> int:
            said = children[name].line(_START_SECONDS)
            if not isinstance(said.get("port"), int):
                raise ChildError(f"{name} said something else than expected: {said}")
            return int(said["port"])

        grpc = _environment(run, to.grpc, "grpc")
        start("stock", _environment(run, to.http, "http/protobuf") if to.http else grpc)
        start("shipping", grpc)
        start("shop", grpc, "--stock", f"http://127.0.0.1:{port('stock')}", "--shipping", str(port("shipping")))
        yield children, port("shop")


def _environment(run: str, endpoint: str, protocol: str) -> dict[str, str]:
    """Ours, without what the user's shell says to OpenTelemetry: that is about other applications."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return inherited | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_RESOURCE_ATTRIBUTES": f"{RUN}={run},deployment.environment.name=demo",
        "NO_PROXY": "127.0.0.1",
    }
