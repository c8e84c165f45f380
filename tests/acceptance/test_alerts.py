"""``otelgres alerts`` in front of a real HTTP server: told once, told again when it failed, told when it ends."""

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from otelgres.collector.inspect.alerts.state import REPEAT_INTERVAL, AlertState
from tests.acceptance.receiver_process import OtelgresProcess, invoke
from tests.waiting import until

LOSE = """
INSERT INTO _otel.losses (count, effect, source, signal, reason) VALUES (3, 'dropped', 'rows', 'traces', 'a_reason')
"""


class WebhookReceiver:
    """An HTTP server that remembers what it was told, and says no as often as it is asked to."""

    def __init__(self) -> None:
        self.notified: list[dict[str, Any]] = []
        self.headers: list[str | None] = []
        self.refusals: list[int] = []
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.headers.append(self.headers["X-Key"])
                if webhook.refusals:
                    self.send_response(webhook.refusals.pop(0))
                    self.send_header("Location", "/elsewhere")
                else:
                    webhook.notified.append(json.loads(body))
                    self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def alerts(self, status: str) -> list[str]:
        return [
            alert["labels"]["alertname"]
            for told in self.notified
            for alert in told["alerts"]
            if alert["status"] == status
        ]


@pytest.fixture
def webhook() -> Iterator[WebhookReceiver]:
    webhook = WebhookReceiver()
    yield webhook
    webhook.server.shutdown()
    webhook.server.server_close()


@pytest.fixture
def ready(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        for days in (0, 2):
            connection.execute("SELECT _otel.make_partition('losses', now() + make_interval(days => %s))", [days])
    return database


def test_once(ready: str) -> None:
    done = invoke("alerts", OTELGRES_DSN=ready)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with psycopg.connect(ready) as connection:
        connection.execute(LOSE)
    done = invoke("alerts", OTELGRES_DSN=ready)
    assert done.returncode == 2
    assert done.stdout == "critical losses             a_reason: 3 traces dropped: a_reason\n"
    assert json.loads(invoke("alerts", "--json", OTELGRES_DSN=ready).stdout)["value"] == 3
    assert invoke("alerts", "--set", "losses=10", OTELGRES_DSN=ready).stdout == "losses fires at 10\n"
    output = invoke("alerts", "--set", "flow_p95/nightly=3600000.5", OTELGRES_DSN=ready).stdout
    assert output == "flow_p95 for nightly fires at 3600000.5\n"
    assert invoke("alerts", OTELGRES_DSN=ready).returncode == 0
    assert "ok       losses" in invoke("alerts", "--all", OTELGRES_DSN=ready).stdout
    assert invoke("alerts", "--disable", "losses/a_reason", OTELGRES_DSN=ready).returncode == 0
    assert "a_reason" not in invoke("alerts", "--all", OTELGRES_DSN=ready).stdout
    assert "there is no rule" in invoke("alerts", "--disable", "nothing", OTELGRES_DSN=ready).stderr


def test_a_webhook_gets_an_alert_once_until_it_ends(ready: str, webhook: WebhookReceiver, tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("X-Key: secret\n")
    headers.chmod(0o600)
    state = tmp_path / "state.json"
    arguments = ("alerts", "--watch", "--interval", "0.2", "--webhook", webhook.url, "--state", str(state))
    # One answer that asks for another try at once, and three that spend all tries of a look.
    webhook.refusals = [503, 302]
    with psycopg.connect(ready, autocommit=True) as connection:
        connection.execute(LOSE)
        with OtelgresProcess(*arguments, "--header-file", str(headers), OTELGRES_DSN=ready) as watch:
            until(lambda: webhook.notified, "the alert")
            assert watch.errors.startswith("otelgres: watching the alert rules every 0.2 s")
            assert watch.stop() == 0
        assert webhook.headers[0] == "secret"
        # It was told, and a restart knows that.
        with OtelgresProcess(*arguments, "--json", OTELGRES_DSN=ready) as watch:
            connection.execute("UPDATE _otel.losses SET at = at - interval '1 hour'")
            assert watch.process.stdout is not None
            assert json.loads(watch.process.stdout.readline())["status"] == "resolved"
            assert watch.stop() == 0
    assert webhook.alerts("firing") == ["losses"]
    assert webhook.alerts("resolved") == ["losses"]
    first, last = webhook.notified[0]["alerts"][0], webhook.notified[-1]["alerts"][0]
    assert first["fingerprint"] == last["fingerprint"]
    assert last["endsAt"] > last["startsAt"]


def test_a_database_that_is_away_is_an_alert(webhook: WebhookReceiver, tmp_path: Path) -> None:
    arguments = ("alerts", "--watch", "--interval", "0.2", "--webhook", webhook.url, "--state", str(tmp_path / "state"))
    with OtelgresProcess(*arguments, OTELGRES_DSN="postgresql://x:geheim@127.0.0.1:1/y") as watch:
        until(lambda: webhook.notified, "the alert")
        assert watch.stop() == 0
        assert "geheim" not in watch.errors
    assert webhook.alerts("firing") == ["database_unreachable"]
    assert "geheim" not in json.dumps(webhook.notified)


def row(rule: str, *, firing: bool = True, hold: float = 60) -> dict[str, Any]:
    return {"rule": rule, "subject": "s", "severity": "warning", "value": 1.0, "threshold": 0.0, "firing": firing,
            "summary": "", "hold": timedelta(seconds=hold), "runbook": ""}  # fmt: skip


def test_when_alerts_are_sent(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def after(seconds: float) -> datetime:
        return start + timedelta(seconds=seconds)

    file = tmp_path / "state.json"
    state = AlertState(file)
    assert state.update([row("r")], after(0)) == [], "it has to hold first"
    assert state.update([row("r", firing=False)], after(30)) == []
    assert state.update([row("r")], after(40)) == [], "it began anew"
    due = state.update([row("r")], after(100))
    assert [held.since for held in due] == [after(40).isoformat()]
    assert state.update([row("r")], after(110)) == due, "not delivered"
    state.mark_notified(due, after(110))
    state = AlertState(file)
    assert state.update([row("r")], after(120)) == [], "told, over a restart"
    again = state.update([row("r")], after(110) + REPEAT_INTERVAL)
    assert [held.rule for held in again] == ["r"], "it still holds, hours later"
    state.mark_notified(again, after(110) + REPEAT_INTERVAL)
    (ended,) = state.update([], after(130) + REPEAT_INTERVAL)
    assert ended.ended
    assert state.update([], after(140) + REPEAT_INTERVAL) == [ended], "its end was not delivered"
    state.mark_notified([ended], after(140) + REPEAT_INTERVAL)
    assert state.update([], after(150) + REPEAT_INTERVAL) == []
    assert state.active == []


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('[{"rule": 1}]')
    assert AlertState(file).active == []
