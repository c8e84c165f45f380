"""Grafana's alert rules: one for each rule in SQL, shaped as provisioning wants it, and each query runs."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from tests.grafana.dashboards import FOLDER
from tests.sql.rows import Connection

FILE = FOLDER / "provisioning" / "alerting" / "otelgres.yaml"
ROOT = Path(__file__).parents[2]
RUNBOOKS = "https://github.com/otelgres/otelgres/blob/main/docs/runbooks/"


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_there_is_one_for_each_rule_in_sql(database: str) -> None:
    with psycopg.connect(database) as connection:
        known = connection.execute("SELECT rule, hold FROM _otel.alert_rules ORDER BY rule").fetchall()
    held = {rule["labels"]["rule"]: rule["for"] for rule in rules()}
    assert set(held) == {name for name, _ in known}
    for name, hold in known:
        seconds = int(held[name][:-1]) * {"s": 1, "m": 60}[held[name][-1]]
        assert seconds == hold.total_seconds(), name


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["uid"])
def test_a_rule_is_as_grafana_wants_it(rule: dict[str, Any], database: str) -> None:
    query, reduce, threshold = rule["data"]
    assert rule["condition"] == threshold["refId"] == threshold["model"]["refId"] == "C"
    assert reduce["model"]["expression"] == "A"
    assert threshold["model"]["expression"] == "B"
    # What is left out would mean something else: no data is an alert, an error is one too.
    assert (rule["noDataState"], rule["execErrState"]) == ("OK", "Error")
    address = rule["annotations"]["runbook_url"]
    assert address.startswith(RUNBOOKS)
    assert (ROOT / "docs" / "runbooks" / address.removeprefix(RUNBOOKS)).is_file()
    assert "$" not in query["model"]["rawSql"]
    assert query["model"]["format"] == "time_series"
    connection: psycopg.Connection[dict[str, Any]]
    with psycopg.connect(database, row_factory=dict_row) as connection:
        cursor = connection.execute(query["model"]["rawSql"].encode())
        assert [column.name for column in cursor.description or ()] == ["time", "value", "subject", "severity"]


def test_what_fires_in_sql_fires_in_grafana(database: str) -> None:
    connection: Connection
    with psycopg.connect(database) as connection:
        connection.execute("SELECT _otel.make_partition('losses', now())")
        connection.execute(
            "INSERT INTO _otel.losses (count, effect, source, signal, reason) "
            "VALUES (1, 'dropped', 'rows', 'logs', 'x')"
        )
        (sql,) = (rule["data"][0]["model"]["rawSql"] for rule in rules() if rule["labels"]["rule"] == "losses")
        (found,) = connection.execute(sql.encode()).fetchall()
        assert found[1:] == (1.0, "x", "critical")
