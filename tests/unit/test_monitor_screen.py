"""The monitor's screen in as many lines as there are; what does not fit is counted."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from otelgres.collector.inspect.monitor.screen import fitted, screen

NOTHING: dict[str, list[dict[str, Any]]] = {
    name: [] for name in ("receivers", "alerts", "services", "flows", "open", "heartbeats", "subscriptions")
}
ALERTS = [{"rule": "losses", "subject": f"s{number}", "severity": "critical", "summary": "x"} for number in range(30)]
SERVICES = [
    {"service_name": f"service-{number}", "per_second": 1.0, "failed": 0.0, "quantiles": [1.0, 2.0]}
    for number in range(20)
]


def drawn(lines: int | None) -> list[str]:
    return shown(NOTHING | {"alerts": ALERTS, "services": SERVICES}, lines)


def shown(found: dict[str, list[dict[str, Any]]], lines: int | None) -> list[str]:
    console = Console(width=80)
    with console.capture() as text:
        console.print(screen(found, datetime.now(UTC), lines))
    return text.get().splitlines()


@pytest.mark.parametrize("lines", [12, 24, 40])
def test_it_fits_and_says_what_is_left_out(lines: int) -> None:
    found = drawn(lines)
    assert len(found) <= lines
    assert all(len(line) <= 80 for line in found)
    text = "\n".join(found)
    assert "RUNNING FLOWS" in text
    assert "more" in text


def test_without_a_height_nothing_is_left_out() -> None:
    found = drawn(None)
    assert sum(line.startswith("losses") for line in found) == 30
    assert sum(line.startswith("service-") for line in found) == 20


def test_figures_and_states_are_whole_beside_long_names() -> None:
    now = datetime.now(UTC)
    name = "payment-gateway-adapter-europe-west"
    found = NOTHING | {
        "alerts": [ALERTS[0] | {"summary": "s" * 200}],
        "services": [
            SERVICES[0] | {"service_name": name, "per_second": 12345.6},
            SERVICES[1] | {"service_name": "x" * 90},
        ],
        "flows": [
            {"name": "order", "idle_seconds": 12.0, "last_checkpoint": "C" * 90, "start_time": now, "missing": None}
        ],
        "open": [{"type": "phase", "name": "w" * 90, "service_name": name, "start_time": now, "state": "abandoned"}],
        "heartbeats": [{"source_system": "orders", "age_seconds": 34, "missed": False, "stats": {"queue": "q" * 90}}],
    }
    lines = shown(found, None)
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    for whole in ("losses s0", name, "12,345.6", "RUNNING FLOWS", "12 s", "abandoned", "34 s", "per s", "state"):
        assert whole in text, whole
    assert text.count("…") == 6


@pytest.mark.parametrize(
    ("wanted", "room", "given"), [([30, 5, 1], 12, [6, 5, 1]), ([2, 2], 10, [2, 2]), ([9, 9], 1, [1, 1])]
)
def test_the_longest_sections_are_cut_first(wanted: list[int], room: int, given: list[int]) -> None:
    assert fitted(wanted, room) == given
