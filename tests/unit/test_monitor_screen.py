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
    console = Console(width=80)
    with console.capture() as shown:
        console.print(screen(NOTHING | {"alerts": ALERTS, "services": SERVICES}, datetime.now(UTC), lines))
    return shown.get().splitlines()


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


@pytest.mark.parametrize(
    ("wanted", "room", "given"), [([30, 5, 1], 12, [6, 5, 1]), ([2, 2], 10, [2, 2]), ([9, 9], 1, [1, 1])]
)
def test_the_longest_give(wanted: list[int], room: int, given: list[int]) -> None:
    assert fitted(wanted, room) == given
