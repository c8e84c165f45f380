"""Progress added up, against a plain account of the same rules in Python: late, twice, out of order, and in circles."""

import itertools
import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from otelgres.collector.embedded import Cluster
from tests import postgres
from tests.sql import rows
from tests.sql.rows import Connection

BEGIN = datetime(2026, 3, 4, 12, tzinfo=UTC)
NODES = ("a", "b", "c", "d", "e", "f")
OVER = {"completed", "skipped"}
Update = dict[str, Any]

UPDATES = st.fixed_dictionaries(
    {"node_id": st.sampled_from(NODES), "ns": st.integers(0, 12), "uid": st.integers(1, 2**32)},
    optional={
        "status": st.sampled_from(["pending", "running", "completed", "COMPLETED", "failed", "skipped", "resting"]),
        "percent": st.sampled_from([-5, 0, 12.5, 50, 99, 100, 150, "many", "NaN", 1e300]),
        "done": st.sampled_from([-1, 0, 1, 3, 7, "2", True]),
        "total": st.sampled_from([0, 1, 4, 7.5, -2, "Infinity"]),
        "parent_id": st.sampled_from([*NODES, "unknown"]),
        "weight": st.sampled_from([0, 1, 2.5, -1, 1e300]),
        "parts": st.sampled_from([0, 1, 3, 5]),
    },
)


def number(value: Any, least: float = -1e15, most: float = 1e15) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) and least <= found <= most else None


class Expected:
    """What the rules say."""

    def __init__(self, updates: list[Update]) -> None:
        by_node: dict[str, list[Update]] = {}
        for update in sorted(updates, key=lambda one: (one["ns"], one["uid"]), reverse=True):
            by_node.setdefault(update["node_id"], []).append(update)
        self.nodes = {node: self._latest(node, found) for node, found in by_node.items()}
        self.children: dict[str, list[str]] = {}
        for node, found in sorted(self.nodes.items()):
            if found["parent"] in self.nodes:
                self.children.setdefault(found["parent"], []).append(node)

    @staticmethod
    def _latest(node: str, updates: list[Update]) -> dict[str, Any]:
        def last(key: str, *bounds: float) -> Any:
            numbers = (number(one.get(key), *bounds) for one in updates)
            return next((one for one in numbers if one is not None), None)

        status = next((str(one["status"]).lower() for one in updates if "status" in one), None)
        total = last("total", 1e-9)
        own = 100.0 if status in OVER else 0.0
        for one in updates:
            percent, done = number(one.get("percent")), number(one.get("done"))
            if percent is not None:
                own = percent
                break
            if done is not None:
                own = 100 * done / total if total else own
                break
        parent = next((one["parent_id"] for one in updates if "parent_id" in one), None)
        return {
            "status": status,
            "own": max(0.0, min(100.0, own)),
            "parent": None if parent == node else parent,
            "weight": last("weight", 1e-6, 1e9) or 1.0,
            "parts": last("parts", 1, 1e9) or 0,
        }

    def progress(self, node: str, path: tuple[str, ...] = ()) -> float:
        found, children = self.nodes[node], self.children.get(node, [])
        if not children:
            return float(found["own"])
        if found["status"] in OVER:
            return 100.0
        missing = max(found["parts"] - len(children), 0)
        whole = sum(self.nodes[child]["weight"] for child in children) + missing
        path = (*path, node)
        return float(
            sum(
                self.nodes[child]["weight"] / whole * self.progress(child, path)
                for child in children
                if child not in path
            )
        )

    def status(self, node: str) -> str:
        if self.nodes[node]["status"] is not None:
            return str(self.nodes[node]["status"])
        seen = list(self._below(node, ()))
        if any(self.nodes[one]["status"] == "failed" for one in seen):
            return "failed"
        if all(self._over(one) for one in seen):
            return "completed"
        return "running" if any(self._begun(one) for one in seen) else "pending"

    def _below(self, node: str, path: tuple[str, ...]) -> Iterator[str]:
        yield node
        if self.nodes[node]["status"] not in OVER:
            for child in self.children.get(node, []):
                if child not in (*path, node):
                    yield from self._below(child, (*path, node))

    def _over(self, node: str) -> bool:
        found, children = self.nodes[node], self.children.get(node, [])
        return found["status"] in OVER or (bool(children) and found["parts"] <= len(children))

    def _begun(self, node: str) -> bool:
        found = self.nodes[node]
        return bool(found["own"] > 0 if found["status"] is None else found["status"] != "pending")


@pytest.fixture(scope="module")
def connection(cluster: Cluster, migrated: str) -> Iterator[Connection]:
    with (
        postgres.new_database(cluster, migrated) as dsn,
        psycopg.connect(dsn, autocommit=True) as opened,
    ):
        rows.make_partitions(opened, [BEGIN], "logs")
        yield opened


def record(connection: Connection, experiment: uuid.UUID, updates: list[Update]) -> None:
    """Stores updates in the order in which they come; one that was sent twice is stored once, as a receiver does it."""
    resource, scope = rows.resource(connection, "trainer"), rows.scope(connection)
    values: list[Any] = []
    for update in updates:
        attributes = {"experiment_id": str(experiment), "node_id": update["node_id"]}
        attributes |= {f"progress.{key}": value for key, value in update.items() if key not in ("node_id", "ns", "uid")}
        # Several nanoseconds fall into one microsecond of the column.
        ns = rows.unix_nano(BEGIN) + update["ns"]
        uid = None if update["uid"] is None else uuid.UUID(int=experiment.int >> 33 << 33 | update["uid"])
        at = BEGIN + timedelta(microseconds=update["ns"] // 1000)
        values += [at, ns, resource, scope, uid, "otelgres.progress", Jsonb(attributes)]
    row = "(%s, %s, 0, %s, %s, 9, 0, 0, %s, %s, %s)"
    connection.execute(
        "INSERT INTO _otel.logs (time, time_unix_nano, observed_time_unix_nano, resource_id, scope_id, "
        "severity_number, flags, dropped_attributes_count, uid, event_name, attributes) "
        f"VALUES {', '.join([row] * len(updates))} "
        "ON CONFLICT DO NOTHING".encode(),
        values,
    )


def ask(connection: Connection, query: str, *parameters: Any) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


@settings(max_examples=150)
@given(
    updates=st.lists(UPDATES, min_size=1, max_size=18, unique_by=lambda one: one["uid"]),
    again=st.lists(st.integers(0, 17), max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_any_order_and_any_repetition_give_the_same(
    connection: Connection, updates: list[Update], again: list[int], order: Any
) -> None:
    experiment = uuid.uuid4()
    arriving = [*updates, *(updates[number % len(updates)] for number in again)]
    order.shuffle(arriving)
    half = len(arriving) // 2
    record(connection, experiment, arriving[half:])
    if half:
        record(connection, experiment, arriving[:half])

    account = Expected(updates)
    found = ask(connection, "SELECT * FROM compat.pipeline_progress WHERE experiment_id = %s", experiment)
    assert sorted(row["node_id"] for row in found) == sorted(account.nodes)
    for row in found:
        node = row["node_id"]
        assert row["progress_percent"] == pytest.approx(account.progress(node), abs=1e-5), node
        assert 0 <= row["progress_percent"] <= 100
        assert row["own_percent"] == pytest.approx(account.nodes[node]["own"]), node
        assert row["status"] == account.status(node), node
        assert row["children"] == len(account.children.get(node, []))
    tree = ask(connection, "SELECT node_id FROM compat.get_progress_tree(%s)", experiment)
    assert sorted(row["node_id"] for row in tree) == sorted(account.nodes)


def test_what_is_latest_is_decided_by_nanoseconds_then_by_uid(connection: Connection) -> None:
    updates = [
        {"node_id": "a", "ns": 7, "uid": 1, "percent": 70},
        {"node_id": "a", "ns": 6, "uid": 9, "percent": 60},
        {"node_id": "b", "ns": 5, "uid": 2, "percent": 20},
        {"node_id": "b", "ns": 5, "uid": 3, "percent": 30},
    ]
    for order in itertools.permutations(updates):
        experiment = uuid.uuid4()
        record(connection, experiment, list(order))
        query = "SELECT node_id, own_percent FROM compat.aggregate_progress(%s) ORDER BY 1"
        assert [row["own_percent"] for row in ask(connection, query, experiment)] == [70, 30]


def test_without_uids_it_is_the_same_in_any_order(connection: Connection) -> None:
    updates = [{"node_id": "a", "ns": 5, "uid": None, "percent": percent} for percent in (10, 40, 40, 30)]
    found = set()
    for order in itertools.permutations(updates):
        experiment = uuid.uuid4()
        record(connection, experiment, list(order))
        found.add(
            ask(connection, "SELECT own_percent FROM compat.aggregate_progress(%s)", experiment)[0]["own_percent"]
        )
    assert len(found) == 1


def test_a_parent_that_comes_late_takes_its_children_in(connection: Connection) -> None:
    experiment = uuid.uuid4()
    record(connection, experiment, [{"node_id": "b", "ns": 5, "uid": 1, "parent_id": "a", "percent": 50}])
    query = "SELECT node_id, depth, progress_percent FROM compat.get_progress_tree(%s)"
    assert ask(connection, query, experiment) == [{"node_id": "b", "depth": 0, "progress_percent": 50}]
    record(connection, experiment, [{"node_id": "a", "ns": 1, "uid": 2, "status": "running", "parts": 2}])
    assert ask(connection, query, experiment) == [
        {"node_id": "a", "depth": 0, "progress_percent": 25},
        {"node_id": "b", "depth": 1, "progress_percent": 50},
    ]
