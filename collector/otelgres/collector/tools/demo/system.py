"""The processes of the sample system: started in the order of their dependencies, stopped when they have finished.

They are modules started by name; none of them is imported.
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
    """OTLP URLs for gRPC and for HTTP (None: all use gRPC)."""

    grpc: str
    http: str | None = None


@dataclass(frozen=True)
class SentItems:
    """What the sample system sent: its own counts of records by service, and the answers to its customers."""

    spans: Mapping[str, int] = field(default_factory=dict)
    logs: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    flushed: bool = True

    @property
    def records(self) -> int:
        """The number of spans and log records."""
        return sum(self.spans.values()) + sum(self.logs.values())


def missing_packages() -> list[str]:
    """Names of packages that the sample system needs and that are not installed."""
    return [name for name in EXTRAS["demo"] if importlib.util.find_spec(name) is None]


def run_system(to: Endpoints, run: str, seconds: float, progress: Callable[[float, int], None]) -> SentItems:
    """Runs the sample system for ``seconds`` and stops it; everything it sent is committed when this returns.

    ``run`` is the resource attribute ``otelgres.demo.run`` of everything it sends. Raises ChildError.
    """
    with _started(to, run) as (children, shop_port):
        customers = Customers(shop_port)
        customers.come(seconds, progress)
        spans: dict[str, int] = {}
        logs: dict[str, int] = {}
        flushed = True
        for name in SERVICES:  # the shop first, because it calls the others
            children[name].ask_to_stop()
            answer = children[name].line(_END_SECONDS)
            try:
                spans[name], logs[name] = int(answer["spans"]), int(answer["logs"])
            except (KeyError, TypeError, ValueError):
                raise ChildError(f"unexpected output of {name}: {answer}") from None
            flushed = flushed and answer.get("flushed") is True
        return SentItems(spans, logs, Counter(customers.answers), flushed)


@contextmanager
def _started(to: Endpoints, run: str) -> Iterator[tuple[dict[str, Child], int]]:
    with ExitStack() as stack:
        children: dict[str, Child] = {}

        def start(name: str, env: Mapping[str, str], *arguments: str) -> None:
            children[name] = stack.enter_context(Child(name, f"otel_setup.demo.{name}", arguments, env))

        def port(name: str) -> int:
            answer = children[name].line(_START_SECONDS)
            if not isinstance(answer.get("port"), int):
                raise ChildError(f"unexpected output of {name}: {answer}")
            return int(answer["port"])

        grpc = _environment(run, to.grpc, "grpc")
        start("stock", _environment(run, to.http, "http/protobuf") if to.http else grpc)
        start("shipping", grpc)
        start("shop", grpc, "--stock", f"http://127.0.0.1:{port('stock')}", "--shipping", str(port("shipping")))
        yield children, port("shop")


def _environment(run: str, endpoint: str, protocol: str) -> dict[str, str]:
    """Our environment without the user's OpenTelemetry variables, which are for other applications."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return inherited | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_RESOURCE_ATTRIBUTES": f"{RUN}={run},deployment.environment.name=demo",
        "NO_PROXY": "127.0.0.1",
    }
