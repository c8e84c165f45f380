"""The dashboards as a person sees them: panels with their queries, and variables with the values they would have."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.grafana.macros import expand

FOLDER = Path(__file__).parents[2] / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
_DATA_POINTS = 500
_STEPS = ("1s", "5s", "10s", "15s", "30s", "1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "6h", "12h", "1d")


@dataclass(frozen=True)
class Query:
    """One query of one panel."""

    dashboard: str
    panel: dict[str, Any]
    target: dict[str, Any]

    @property
    def name(self) -> str:
        """For people and test ids."""
        return f"{self.dashboard}: {self.panel['title']}"

    def sql(self, since: datetime, until: datetime, variables: dict[str, str | Sequence[str]]) -> str:
        """What Grafana would send for this time."""
        least = self.panel.get("interval", "1s")
        return expand(self.target["rawSql"], since, until, step(until - since, least), variables)


def read(file: Path) -> dict[str, Any]:
    """A dashboard."""
    dashboard: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return dashboard


def queries(file: Path) -> Iterator[Query]:
    """Every query of a dashboard."""
    for panel in read(file)["panels"]:
        for target in panel["targets"]:
            yield Query(file.stem, panel, target)


def every_query() -> list[Query]:
    """Every query of every dashboard."""
    return [query for file in FILES for query in queries(file)]


def step(time: timedelta, least: str) -> str:
    """The interval that Grafana picks for a panel's width: a round one, not below the panel's own."""
    wanted = max(time.total_seconds() / _DATA_POINTS, _length(least))
    return next((one for one in _STEPS if _length(one) >= wanted), _STEPS[-1])


def _length(text: str) -> float:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]


def variables(file: Path, connection: psycopg.Connection, **chosen: str) -> dict[str, str | Sequence[str]]:
    """Values of a dashboard's variables: what is ``chosen``, else what it opens with."""
    found: dict[str, str | Sequence[str]] = {}
    for variable in read(file)["templating"]["list"]:
        name = variable["name"]
        if name in chosen:
            found[name] = chosen[name]
        elif variable["type"] == "query":
            options = [row[0] for row in connection.execute(variable["query"].encode()).fetchall()]
            # "All" stands for each of the options.
            found[name] = options if variable["multi"] else next(iter(options), "")
        else:
            found[name] = variable["current"]["value"]
    return found
