"""``otelgres report``: runs of two months in each format, and hostile text."""

import csv
import io
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from otelgres.collector.embedded import Cluster, Login
from tests import postgres
from tests.acceptance.receiver_process import invoke
from tests.sql import rows
from tests.sql.rows import FLOW, MS, PHASE, Span, unix_nano

HOSTILE = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://x","y")'
# Two months ago and last month, whatever day it is.
LAST = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(day=5, hour=12, minute=0, second=0, microsecond=0)
BEFORE = (LAST.replace(day=1) - timedelta(days=1)).replace(day=5)
ABANDONED = uuid.uuid5(uuid.NAMESPACE_URL, "abandoned")
PERIOD = ("--since", f"{BEFORE - timedelta(days=1):%Y-%m-%d}", "--until", f"{LAST + timedelta(days=1):%Y-%m-%d}")
ATTRIBUTES = {"otelgres.flow.name": "nightly", "otelgres.type": "flow", "started_by": FORMULA}


def job(connection: rows.Connection, trace: uuid.UUID, at: datetime, seconds: float, *, failed: bool = False) -> None:
    """A run with one phase, an error in it if it failed."""
    start = unix_nano(at)
    end = start + int(seconds * 1000) * MS
    failure = {"failure_type": "refused"} if failed else {}
    root = Span(
        trace=trace, start=start, end=end, role=FLOW, name="nightly", status=2 if failed else None,
        attributes=ATTRIBUTES | failure,
    )  # fmt: skip
    phase = Span(
        trace=trace, start=start, end=end, role=PHASE, name="auth", parent=root.id, status=2 if failed else None,
        attributes={"otelgres.flow.name": "nightly"},
    )  # fmt: skip
    rows.insert(connection, [root, phase])
    if failed:
        log(connection, trace, at, 17, HOSTILE, {"exception.type": HOSTILE, "exception.message": FORMULA})
        log(connection, trace, at, 9, None, {"failover_activated": True}, "otelgres.run")


def log(
    connection: rows.Connection, trace: uuid.UUID, at: datetime, severity: int, body: str | None,
    attributes: dict[str, Any], event: str | None = None,
) -> None:  # fmt: skip
    rows.put(
        connection, "logs", time=at, time_unix_nano=unix_nano(at), observed_time_unix_nano=0,
        resource_id=rows.resource(connection, "shop"), scope_id=rows.scope(connection), severity_number=severity,
        flags=0, dropped_attributes_count=0, trace_id=trace, body=body, event_name=event,
        attributes=Jsonb({"execution_phase": "auth", "terminal_id": FORMULA, **attributes}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def dsn(cluster: Cluster, migrated: str) -> Iterator[str]:
    with postgres.new_database(cluster, migrated) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for month, seconds in ((BEFORE, 10), (LAST, 20)):
                for number in range(10):
                    at = month + timedelta(minutes=number)
                    job(connection, uuid.uuid5(uuid.NAMESPACE_URL, str(at)), at, seconds, failed=number < 2)
            # Its root never ended.
            start = unix_nano(LAST)
            rows.insert(connection, [Span(trace=ABANDONED, start=start, end=start, role=PHASE, name="auth",
                                          parent=rows.span_id(77), attributes=ATTRIBUTES)])  # fmt: skip
            rows.make_partitions(connection, [LAST], "losses")
            connection.execute(
                "INSERT INTO _otel.losses (at, count, effect, source, signal, reason) "
                "VALUES (%s, 7, 'refused', %s, 'logs', 'x')",
                (LAST, FORMULA),
            )
            connection.execute("INSERT INTO _otel.retention (table_name, keep) VALUES ('logs', '30 days')")
        yield dsn


def report(dsn: str, *arguments: str) -> str:
    done = invoke("report", *arguments, OTELGRES_DSN=dsn)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def sections(dsn: str, name: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, Any] = json.loads(report(dsn, name, "--format", "json", *PERIOD))
    assert found["report"] == name
    named: dict[str, list[dict[str, Any]]] = found["sections"]
    return named


def test_errors_are_grouped_with_their_runs_and_a_sample(dsn: str) -> None:
    found = sections(dsn, "errors")
    (group,) = found["errors"]
    assert (group["error_type"], group["phase"], group["terminal"]) == (HOSTILE, "auth", FORMULA)
    assert (group["count"], group["runs"]) == (4, 4)
    assert group["first_seen"] == BEFORE.isoformat()
    assert group["last_seen"] == (LAST + timedelta(minutes=1)).isoformat()
    assert group["newest"] == f"{HOSTILE}: {FORMULA}"
    assert uuid.UUID(group["newest_run"]) == uuid.uuid5(uuid.NAMESPACE_URL, str(LAST + timedelta(minutes=1)))
    assert len(found["samples"]) == 4
    assert [row["errors"] for row in found["runs"]] == [1, 1, 1, 1]


def test_compliance_lists_every_run_and_every_gap(dsn: str) -> None:
    found = sections(dsn, "compliance")
    (totals,) = found["totals"]
    assert {name: totals[name] for name in ("runs", "succeeded", "failed", "abandoned", "at_work")} == {
        "runs": 21, "succeeded": 16, "failed": 4, "abandoned": 1, "at_work": 0
    }  # fmt: skip
    assert (totals["items_refused"], totals["items_dropped"]) == (7, 0)
    assert len(found["runs"]) == 21
    assert {row["outcome"] for row in found["runs"]} == {"succeeded", "failed", "abandoned"}
    assert {(row["reason"], row["runs"]) for row in found["reasons"]} == {("refused", 4), ("abandoned", 1)}
    (gap,) = found["gaps"]
    assert (uuid.UUID(gap["run"]), gap["last_seen"]) == (ABANDONED, LAST.isoformat())
    assert [(row["reason"], row["count"]) for row in found["losses"]] == [("x", 7)]
    kept = {row["table_name"]: row["keep"] for row in found["retention"]}
    assert (kept["logs"], kept["spans"]) == ("30 days", "for ever")


def test_a_run_shorter_than_a_second_is_shown_in_fractions(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        job(connection, uuid.uuid4(), LAST, 0.25, failed=True)
    assert [row["duration_seconds"] for row in sections(database, "compliance")["runs"]] == [0.25]
    assert [row["duration_seconds"] for row in sections(database, "errors")["runs"]] == [0.25]


def test_months_are_compared(dsn: str) -> None:
    found = sections(dsn, "runs")
    first, second = found["months"]
    assert (first["month"], second["month"]) == (f"{BEFORE:%Y-%m}-01", f"{LAST:%Y-%m}-01")
    assert (first["runs"], first["succeeded"], first["failed"], first["abandoned"]) == (10, 8, 2, 0)
    assert (second["runs"], second["succeeded"], second["failed"], second["abandoned"]) == (11, 8, 2, 1)
    assert (first["success_rate"], first["failovers"], first["error_count"]) == (0.8, 2, 2)
    assert (first["p50_seconds"], second["p50_seconds"], second["p95_seconds"]) == (10, 20, 20)
    (phase,) = found["phases"]
    assert (phase["execution_phase"], phase["executions"], phase["failed"]) == ("auth", 21, 4)
    (terminal,) = found["terminals"]
    assert (terminal["terminal_id"], terminal["errors"], terminal["affected_runs"]) == (FORMULA, 4, 4)
    assert terminal["affected_share"] == pytest.approx(4 / 21)


def test_days_of_operations(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        log(connection, uuid.uuid4(), LAST, 9, None, {"otelgres.log_type": "sync_operation"}, "otelgres.operation")
    (day,) = csv.DictReader(io.StringIO(report(database, "daily", "--format", "csv", *PERIOD)))
    assert (day["day"], day["sync_operations"], day["errors"]) == (f"{LAST:%Y-%m-%d}", "1", "0")


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", ["errors", "compliance", "runs", "daily"])
def test_a_page_is_whole_and_holds_no_script(dsn: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert report(dsn, name, "--out", str(file), *PERIOD) == ""
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert page.links == []
    assert "default-src 'none'" in text
    assert "@media print" in text
    assert text.endswith("</html>\n")
    assert "+00:00" not in text
    if name == "errors":
        assert f'<td class="time">{BEFORE:%Y-%m-%d %H:%M:%S}</td>' in text
        assert HOSTILE in page.text
        assert FORMULA in page.text


@pytest.mark.parametrize("name", ["errors", "compliance"])
def test_a_spreadsheet_gets_no_formula(dsn: str, name: str) -> None:
    found = list(csv.reader(io.StringIO(report(dsn, name, "--format", "csv", *PERIOD))))
    assert len(found) == {"errors": 2, "compliance": 22}[name]
    cells = [cell for row in found for cell in row]
    assert f"'{FORMULA}" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "-"))]


def test_a_section_of_its_own(dsn: str) -> None:
    found = csv.DictReader(io.StringIO(report(dsn, "compliance", "--format", "csv", "--section", "losses", *PERIOD)))
    assert [(row["source"], row["count"]) for row in found] == [(f"'{FORMULA}", "7")]


@pytest.mark.parametrize("name", ["errors", "compliance", "runs", "daily"])
def test_text_for_a_terminal(dsn: str, name: str) -> None:
    lines = report(dsn, name, *PERIOD).splitlines()
    assert lines[1].startswith(f"{BEFORE - timedelta(days=1):%Y-%m-%d} 00:00 to ")
    if name == "runs":
        assert any("nightly" in line and "0.8" in line for line in lines)


@pytest.mark.parametrize(
    ("since", "until"),
    [("2026-01-30", "2026-01-31T12:30"), ("2026-01-30T00:00:00", "2026-01-31 12:30"), ("2026-01-30 00:00", "1m")],
)
def test_times_are_given_as_people_write_them(database: str, since: str, until: str) -> None:
    output = report(database, "errors", "--since", since, "--until", until)
    (found,) = re.findall(r"^2026-01-30 00:00 to (.*)$", output, re.MULTILINE)
    assert until == "1m" or found == "2026-01-31 12:30 UTC"


def test_a_length_of_time_is_ago(database: str) -> None:
    output = report(database, "errors", "--since", "30d")
    ((since, until),) = re.findall(r"^(\d{4}-.*) to (\d{4}-.*) UTC$", output, re.MULTILINE)
    assert datetime.fromisoformat(until) - datetime.fromisoformat(since) == timedelta(days=30)


def test_nothing_at_all_is_a_report_too(database: str) -> None:
    for name in ("errors", "compliance", "runs", "daily"):
        assert "none" in report(database, name) or name == "compliance"


def test_a_reader_is_enough(dsn: str) -> None:
    with psycopg.connect(postgres.as_login(dsn, Login.SUPERUSER), autocommit=True) as connection:
        connection.execute(
            "DROP ROLE IF EXISTS reports; CREATE ROLE reports LOGIN PASSWORD 'r' IN ROLE otelgres_reader"
        )
    login = psycopg.conninfo.make_conninfo(dsn, user="reports", password="r")
    for name in ("errors", "compliance", "runs", "daily"):
        assert report(login, name, "--format", "json", *PERIOD)


def test_a_privileged_role_reads_with_the_readers_rights(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("REVOKE SELECT ON compat.log_events FROM otelgres_reader")
    done = invoke("report", "errors", OTELGRES_DSN=database)
    assert done.returncode == 1
    assert "permission denied for view log_events" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("errors", "--section", "nothing"), "its sections are errors, runs, samples"),
        (("errors", "--since", "2026-02-01", "--until", "2026-01-01"), "--since must be before --until"),
        (("errors", "--since", "yesterday"), "'yesterday' is not a day (2026-01-31), a time"),
        (("errors", "--since", "9999999999d"), "'9999999999d' is not a day"),
        (("weather",), "'weather' is not one of"),
        (("errors", "--out", "/nowhere/at/all.html"), "cannot be written"),
    ],
    ids=["section", "times", "a word", "too long ago", "report", "file"],
)
def test_invalid_arguments_are_errors(database: str, arguments: tuple[str, ...], text: str) -> None:
    done = invoke("report", *arguments, OTELGRES_DSN=database)
    assert done.returncode != 0
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_writes_days_its_own_way_is_read(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = ''SQL, DMY''', current_database()); END $$"
        )
    done = invoke("report", "compliance", "--dsn", database)
    assert (done.returncode, done.stderr) == (0, "")
