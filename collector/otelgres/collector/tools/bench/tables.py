"""Results as text tables and as values for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from otelgres.collector.tools.bench.application import Costs
from otelgres.collector.tools.bench.ingest import Ingest
from otelgres.collector.tools.bench.latency import Latency


def ingest_table(results: Sequence[Ingest]) -> Table:
    """One row per signal."""
    ways = ("rcv µs", "pg µs", "pg µs COPY")
    table = _table("signal", "rcv /s", "COPY /s", "ratio", *ways, "p50 ms", "p99 ms")
    for result in results:
        table.add_row(
            result.signal,
            f"{result.rate('receiver'):,.0f}",
            f"{result.rate('copy'):,.0f}",
            f"{result.ratio:.2f}",
            _figure(result.middle("receiver", lambda one: one.receiver_cpu_us)),
            _figure(result.middle("receiver", lambda one: one.postgres_cpu_us)),
            _figure(result.middle("copy", lambda one: one.postgres_cpu_us)),
            _figure(result.middle("receiver", lambda one: one.ack_ms_p50)),
            _figure(result.middle("receiver", lambda one: one.ack_ms_p99)),
        )
    return table


def ingest_values(results: Sequence[Ingest]) -> dict[str, Any]:
    """Signal -> figures and rounds."""
    return {
        result.signal.value: {
            "ratio": result.ratio,
            "receiver_per_second": result.rate("receiver"),
            "copy_per_second": result.rate("copy"),
            "receiver_cpu_us": result.middle("receiver", lambda one: one.receiver_cpu_us),
            "postgres_cpu_us": result.middle("receiver", lambda one: one.postgres_cpu_us),
            "postgres_cpu_us_copy": result.middle("copy", lambda one: one.postgres_cpu_us),
            "rounds": [asdict(one) for one in result.rounds],
        }
        for result in results
    }


def latency_table(results: Mapping[float, Latency]) -> Table:
    """One row per rate."""
    table = _table("per second", "made", "lost", "p50 ms", "p90 ms", "p99 ms", "max ms")
    for rate, result in results.items():
        figures = (result.p50, result.p90, result.p99, result.most)
        table.add_row(f"{rate:,.0f}", f"{result.records:,}", f"{result.lost:,}", *map(_figure, figures))
    return table


def application_table(situations: Mapping[str, Costs]) -> Table:
    """One row per call, two columns per situation."""
    table = _table(
        "µs of CPU per call", *[f"{name}, {where}" for name in situations for where in ("caller", "process")]
    )
    for call in next(iter(situations.values())):
        costs = [costs[call][where] for costs in situations.values() for where in ("thread", "process")]
        table.add_row(call, *map(_figure, costs))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"
