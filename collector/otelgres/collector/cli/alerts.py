"""``otelgres alerts``: prints the alert rules that fire, once or continuously, and posts them to a webhook."""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import psycopg
from psycopg.rows import dict_row
from rich.text import Text

from otelgres.collector.cli.options import NamedPath, data_option
from otelgres.collector.cli.reading import database, database_to_read, query_failed
from otelgres.collector.embedded.logins import Login
from otelgres.collector.inspect.alerts.state import ActiveAlert, AlertState, Row
from otelgres.collector.inspect.alerts.webhook import NotDelivered, Webhook
from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.inspect.tabular.plain import as_json as json_of
from otelgres.collector.security.private_file import InsecureFileMode, read_private
from otelgres.collector.system.data_folder import default_data_dir
from otelgres.collector.system.terminal import clean
from otelgres.sql.logins import refuse_superuser
from otelgres.sql.queries import query

_FIRES: Final = 2
_COLOURS: Final = {"critical": "red", "warning": "yellow"}


@click.command(short_help="List the alert rules that fire.")
@click.option("--watch", is_flag=True, help="Keep refreshing; print alerts that start and end.")
@click.option(
    "--interval",
    "every",
    type=click.FloatRange(0.2, 3600),
    default=30,
    show_default=True,
    help="Refresh interval in seconds.",
)
@click.option("--webhook", metavar="URL", help="With --watch: also POST to URL, in Alertmanager's format.")
@click.option(
    "--header-file",
    type=NamedPath(exists=True, dir_okay=False, path_type=Path),
    help="Headers for the webhook, one `Name: value` per line; a file that only you can read.",
)
@click.option(
    "--state",
    type=NamedPath(dir_okay=False, path_type=Path),
    help="State file of --watch [alerts.json in your data folder].",
)
@click.option("--set", "sets", metavar="RULE[/SUBJECT]=NUMBER", multiple=True, help="Change a threshold and exit.")
@click.option("--disable", "offs", metavar="RULE[/SUBJECT]", multiple=True, help="Disable a rule and exit.")
@click.option("--all", "everything", is_flag=True, help="Also list rules that do not fire.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--dsn", help="Database DSN [OTELGRES_DSN, else the running embedded one].")
@data_option
def alerts(
    watch: bool,
    every: float,
    webhook: str | None,
    header_file: Path | None,
    state: Path | None,
    sets: tuple[str, ...],
    offs: tuple[str, ...],
    everything: bool,
    as_json: bool,
    dsn: str | None,
    data: Path,
) -> None:
    """List the alert rules that fire. Exit status 0 if none does, else 2.

    docs/alerts.md describes the rules.
    """
    target = database(dsn, data, Login.OWNER) if sets or offs else database_to_read(dsn, data)
    out = _Out(as_json=as_json)
    try:
        if sets or offs:
            _change(target, sets, offs)
        elif watch:
            hook = _webhook(webhook, header_file)
            _watch(target, every, hook, AlertState(state or default_data_dir() / "alerts.json"), out)
        else:
            rows = _query(target)
            for row in rows:
                if row["firing"] or everything:
                    out.row(row)
            if any(row["firing"] for row in rows):
                sys.exit(_FIRES)
    except psycopg.Error as error:
        raise query_failed(error, "owner" if sets or offs else "reader") from error


def _query(dsn: str) -> list[Row]:
    with psycopg.connect(
        dsn, autocommit=True, connect_timeout=5, application_name="otelgres alerts", row_factory=dict_row
    ) as connection:
        connection.execute("SET statement_timeout = '30s'")
        return connection.execute(query("alerts")).fetchall()


def _watch(dsn: str, every: float, hook: Webhook | None, state: AlertState, out: "_Out") -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # On stderr: stdout has the alerts only.
    click.echo(
        f"otelgres: watching the alert rules every {every:g} s; alerts are printed when they start and end", err=True
    )
    before: list[Row] = []
    while not stop.is_set():
        try:
            rows = before = _query(dsn)
        except psycopg.Error as error:
            # Alerts do not end because the database is unreachable.
            rows = [*before, _unreachable_row(error)]
        due = state.update(rows, datetime.now(UTC))
        if due:
            _deliver(due, hook, state, out)
        stop.wait(every)


def _deliver(due: list[ActiveAlert], hook: Webhook | None, state: AlertState, out: "_Out") -> None:
    if hook is not None:
        try:
            hook.post(due)
        except NotDelivered as error:
            click.echo(f"otelgres: {error}; will be retried at the next refresh", err=True)
            return
    for alert in due:
        out.alert(alert)
    state.mark_notified(due, datetime.now(UTC))


def _unreachable_row(error: psycopg.Error) -> Row:
    return {
        "rule": "database_unreachable",
        "subject": "database",
        "severity": "critical",
        "value": 1.0,
        "threshold": 0.0,
        "firing": True,
        "summary": f"query failed: {str(error).strip().splitlines()[0]}",
        "hold": timedelta(0),
        "runbook": "https://github.com/otelgres/otelgres/blob/main/docs/runbooks/database-away.md",
    }


def _change(dsn: str, sets: tuple[str, ...], offs: tuple[str, ...]) -> None:
    changes: list[tuple[str, str, float | None, bool]]
    changes = [(*_rule(text.partition("=")[0]), _threshold(text), True) for text in sets]
    changes += [(*_rule(text), None, False) for text in offs]
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        refuse_superuser(connection)
        for rule, subject, threshold, enabled in changes:
            known: Mapping[str, Any] = {"rule": rule, "subject": subject, "threshold": threshold, "enabled": enabled}
            row = connection.execute(query("set_alert_rule"), known).fetchone()
            if row is None:
                raise click.ClickException(f"there is no rule {rule}: `otelgres alerts --all` lists the rules.")
            state = f"fires at {row[2]:.15g}" if enabled else "is disabled"
            click.echo(f"{rule} {'for ' + subject + ' ' if subject else ''}{state}")


def _rule(text: str) -> tuple[str, str]:
    rule, _, subject = text.partition("/")
    return rule, subject


def _threshold(text: str) -> float:
    try:
        return float(text.partition("=")[2])
    except ValueError:
        raise click.UsageError(f"--set must be RULE=NUMBER or RULE/SUBJECT=NUMBER, not {text!r}.") from None


def _webhook(url: str | None, header_file: Path | None) -> Webhook | None:
    if url is None:
        return None
    headers: dict[str, str] = {}
    try:
        for line in read_private(header_file).splitlines() if header_file else []:
            name, colon, value = line.partition(":")
            if not colon:
                raise click.UsageError(f"each line of {header_file} must be `Name: value`.")
            headers[name.strip()] = value.strip()
        return Webhook(url, headers, time.sleep)
    except (InsecureFileMode, ValueError) as error:
        raise click.UsageError(str(error)) from None


class _Out:
    """Prints alerts on stdout, as text or JSON lines."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = TerminalConsole(highlight=False)

    def row(self, row: Row) -> None:
        if self._as_json:
            self._print(json_of(row))
        else:
            self._line(row["severity"] if row["firing"] else "ok", row["rule"], row["subject"], row["summary"])

    def alert(self, alert: ActiveAlert) -> None:
        if self._as_json:
            status = "resolved" if alert.ended else "firing"
            self._print(json_of(asdict(alert) | {"at": datetime.now(UTC), "status": status}))
        else:
            self._line("ended" if alert.ended else alert.severity, alert.rule, alert.subject, alert.summary)

    def _line(self, state: str, rule: str, subject: str, summary: str) -> None:
        text = Text(f"{state:<9}", _COLOURS.get(state, "green"))
        text.append(clean(f"{rule:<18} {subject}: {summary}"))
        self._console.print(text, soft_wrap=True)

    @staticmethod
    def _print(line: str) -> None:
        sys.stdout.write(line + os.linesep)
        sys.stdout.flush()
