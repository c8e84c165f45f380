"""What a terminal gets from each command while the database is full of sequences that a terminal would obey."""

import ast
import contextlib
import csv
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import psycopg
import pytest
from psycopg import sql

from otelgres.collector.cli import main
from otelgres.collector.cli.group import cli
from otelgres.collector.embedded import Cluster
from otelgres.collector.inspect.report.sections import KINDS
from tests.acceptance.receiver_process import (
    OTELGRES,
    Serving,
    environment,
    get,
    invoke,
    served,
)
from tests.waiting import TIMEOUT, until

pty = pytest.importorskip("pty", reason="needs a terminal of Unix")
ROOT: Final = Path(__file__).resolve().parents[2]
# A word to find it by, then: clear the screen, set the clipboard, a device's string, a link, a colour, C1, two controls
# that reorder text, a bell, a backspace, DEL and a line that is overwritten.
EVIL: Final = (
    "evil\x1b[2J\x1b]52;c;ZXZpbA==\x07\x1bPq\x1b\\\x1b]8;;http://evil/\x1b\\\x1b[38;5;42;5m\x9b2J\x9d0;evil\x9c\u202e"
    "\u2066\x07\x08\x7f[bold]:smile:\rover"
)
# What our own rendering writes: styles, and in what is drawn again and again the movements of the cursor.
_OWN: Final = re.compile(
    r"\x1b\[(?!38;5;42;5)[0-9;]*m|\r+\n|\x1b\[\?(?:25|1049)[lh]|\x1b\[\d*[AHK]|\x1b\[2K|\r(?=\x1b\[\d*[AK])"
)
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

APPLICATION: Final = """
import logging, os
from opentelemetry import metrics
from otel_setup import configure_telemetry, checkpoint, flow, phase, shutdown_telemetry
from otel_setup.operations import log_database_event
evil = os.environ["EVIL"]
configure_telemetry(service_name=evil, service_version=evil, resource_attributes={"host.name": evil, "x": evil})
try:
    with flow(evil, **{"x": evil}), phase(evil):
        logging.getLogger(evil).error(evil, extra={"x": evil})
        checkpoint(evil)
        log_database_event("database_operation", {"name": evil}, {"success": True, evil: evil}, {"operation_type": "x"})
        metrics.get_meter(evil).create_counter("c").add(1, {"x": evil})
        raise ValueError(evil)
except ValueError:
    pass
shutdown_telemetry()
"""


def _leaves(group: click.Group, context: click.Context, path: str = "") -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _leaves(command, click.Context(command), f"{path}{name} ")
        else:
            yield f"{path}{name}"


# Command -> what to run and whether the data must be seen in it, or why it is not run.
_FIGURES: Final = "runs for long, and prints figures and words of its own"
_ASK: Final = "SELECT service_name, name, attributes FROM otel.spans"
COMMANDS: Final[dict[str, list[tuple[list[str], bool]] | str]] = {
    "up": "a server beside serve, which is run below on the same output",
    "serve": "runs below, with its live view",
    "migrate": [(["--check-only"], False), (["--show-queries"], False)],
    "dsn": [(["--data", f"/nowhere/{EVIL}"], True)],
    "token list": [(["--tokens-file", "{tokens}"], True), (["--tokens-file", "{tokens}", "--json"], True)],
    "token new": [(["--tokens-file", "{tokens}", "--name", EVIL, "--scope", "ingest", "--expires", EVIL], True)],
    "token revoke": [(["--tokens-file", "{tokens}", EVIL], True)],
    "role create": [([EVIL, "--kind", "tenant", "--tenant", EVIL], False)],
    "status": [([], False), (["--json"], True)],
    "healthcheck": [(["--http", "127.0.0.1:1"], False), (["--http", EVIL], True)],
    "query": [
        *(([_ASK, "--format", form], True) for form in ("table", "csv", "json")),
        ([f"SELECT '{EVIL}'::int"], True),
        ([f'SELECT 1 AS "{EVIL[:40]}"'], True),
    ],
    "flow": [(["latest"], True), (["latest", "--json"], True), ([EVIL], True)],
    "monitor": [([], True), (["--json"], True)],
    "tail": [
        ([what, "--since", "1h", "-n", "1", *more], True)
        for what in ("logs", "spans", "flows")
        for more in ([], ["--json"])
    ],
    "alerts": [(["--all"], True), (["--all", "--json"], True), (["--disable", EVIL], True)],
    "diagnose": [(["--http", "{http}", "--grpc", "{grpc}", *more], False) for more in ([], ["--json"])],
    "report": [
        ([kind, "--format", form], kind == "errors") for kind in KINDS for form in ("text", "html", "csv", "json")
    ],
    "export training": [(["--out", "{folder}/" + EVIL.replace("/", "")], True)],
    "files": [(["--list"], False), (["{folder}/files" + EVIL.replace("/", "")], True)],
    "replay": [(["{evil_folder}", "--grpc", "{grpc}"], True), (["/nowhere/" + EVIL], True)],
    "demo": _FIGURES,
    **dict.fromkeys(
        [f"bench {name}" for name in ("application", "deduplication", "ingest", "latency", "replay", "tail")], _FIGURES
    ),
    "chaos": _FIGURES,
}  # fmt: skip


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        env = environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", EVIL=EVIL)
        subprocess.run([sys.executable, "-c", APPLICATION], env=env, timeout=TIMEOUT, check=True)
        get(f"{receiver.http}/nothing")
        until(lambda: receiver.rows("SELECT 1 FROM otel.receivers WHERE alive"), "the receiver to publish its metrics")
        until(lambda: receiver.rows("SELECT 1 FROM otel.flows"), "the flow")
        assert _poison(receiver.dsn) > 20
        yield receiver


def _poison(dsn: str) -> int:
    """Adds the text to every text column that takes it, but to what rules are for, without which no alert is shown."""
    count = 0
    with psycopg.connect(dsn) as connection:
        columns = connection.execute("""
            SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = '_otel'::regnamespace AND c.relkind IN ('r', 'p')
              AND NOT c.relispartition
              AND a.attnum > 0 AND a.atttypid = 'text'::regtype AND a.attgenerated = ''
              AND c.relname NOT IN ('migrations', 'alert_rules')
            ORDER BY 1, 2
        """).fetchall()
        for table, column in columns:
            statement = sql.SQL("UPDATE {} SET {column} = {column} || %s").format(
                sql.Identifier("_otel", table), column=sql.Identifier(column)
            )
            with contextlib.suppress(psycopg.Error), connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '5s'")
                connection.execute(statement, [EVIL])
                count += 1
    return count


def on_a_terminal(*arguments: str, **environ: str) -> str:
    """What a terminal gets when a command runs on it, stdout and stderr."""
    master, slave = pty.openpty()
    got = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                got.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    before, given = dict(os.environ), sys.argv
    handlers = list(logging.root.handlers)
    out, err = (open(os.dup(slave), "w", encoding="utf-8", buffering=1) for _ in range(2))  # noqa: PTH123, SIM115
    try:
        os.environ.clear()
        os.environ.update(environment(**environ, TERM="xterm-256color", COLUMNS="250"))
        sys.argv = ["otelgres", *arguments]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
            main()
        out.flush()
        err.flush()
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.argv = given
        logging.root.handlers[:] = handlers
        for stream in (out, err):
            stream.close()
        os.close(slave)
        reader.join(TIMEOUT)
        os.close(master)
    return got.decode("utf-8", "replace")


def assert_harmless(shown: str) -> None:
    left = _OWN.sub("", shown)
    found = _FORBIDDEN.search(left)
    assert found is None, left[max(0, found.start() - 80) : found.end() + 40].encode("unicode_escape")


def test_every_command_is_run_or_has_a_reason() -> None:
    assert set(_leaves(cli, click.Context(cli))) == set(COMMANDS)


_RUN: Final = [
    (name, arguments, seen)
    for name, cases in COMMANDS.items()
    if not isinstance(cases, str)
    for arguments, seen in cases
]


@pytest.mark.parametrize(
    ("name", "arguments", "seen"), _RUN, ids=[f"{name} {number}" for number, (name, *_) in enumerate(_RUN)]
)
def test_a_command_controls_no_terminal(
    receiver: Serving, tmp_path: Path, name: str, arguments: list[str], seen: bool
) -> None:
    tokens, evil_folder = tmp_path / "tokens", tmp_path / ("evil" + EVIL.replace("/", ""))
    evil_folder.mkdir()
    (evil_folder / f"{EVIL.replace('/', '')}.jsonl").write_text('{"resourceLogs": 5}\n', encoding="utf-8")
    if name.startswith("token"):
        made = invoke("token", "new", "--name", EVIL, "--scope", "ingest", "--tokens-file", str(tokens))
        assert made.returncode == 0, made.stderr
    places = {"tokens": tokens, "folder": tmp_path, "evil_folder": evil_folder, "http": receiver.http,
              "grpc": receiver.grpc}  # fmt: skip
    words = [re.sub(r"\{(\w+)\}", lambda found: str(places[found[1]]), one) for one in arguments]
    environ = {} if name == "dsn" else {"OTELGRES_DSN": receiver.dsn}
    shown = on_a_terminal(*name.split(), *words, **environ)
    assert shown
    assert_harmless(shown)
    assert not seen or "evil" in shown, shown


def test_the_live_view_controls_no_terminal(receiver: Serving, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    arguments = ("serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    env = environment(OTELGRES_DSN=receiver.dsn, OTELGRES_SPOOL=str(tmp_path), TERM="xterm-256color", COLUMNS="250")
    process = subprocess.Popen([*OTELGRES, *arguments], stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    got = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                got.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        until(lambda: b"OTEL_EXPORTER_OTLP_ENDPOINT" in got or b"http://127" in got, "the addresses")
        found = re.search(rb"http://127\.0\.0\.1:\d+", bytes(got))
        assert found is not None
        env = environment(OTEL_EXPORTER_OTLP_ENDPOINT=found[0].decode(), EVIL=EVIL)
        subprocess.run([sys.executable, "-c", APPLICATION], env=env, timeout=TIMEOUT, check=True)
        until(lambda: b"newest flows" in got and b"evil" in got, "the flow in the live view")
    finally:
        process.terminate()
        process.wait(TIMEOUT)
        reader.join(TIMEOUT)
        os.close(master)
    assert_harmless(got.decode("utf-8", "replace"))


def test_only_one_console_is_used() -> None:
    """rich's own would write what others wrote as it is, or be escaped by the guard."""
    for file in (ROOT / "collector").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "Console", f"{file}: use inspect.console.TerminalConsole"


def test_a_pipe_gets_the_data_as_it_is(receiver: Serving) -> None:
    rows = json.loads(invoke("query", _ASK, "--format", "json", OTELGRES_DSN=receiver.dsn).stdout)
    assert any(EVIL in row["name"] for row in rows)


def cells(dsn: str, text: str) -> list[list[str]]:
    done = invoke("query", text, "--format", "csv", OTELGRES_DSN=dsn)
    assert done.returncode == 0, done.stderr
    return list(csv.reader(io.StringIO(done.stdout)))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1+1", "'+1+1"), ("-1+1", "'-1+1"), ("@SUM(1)", "'@SUM(1)"), ("\t=1", "'\t=1"),
        ("\r=1", "'\\u000d=1"), ("\n=1", "'\n=1"), ("  =1", "'  =1"), ('"=1', "'\"=1"), ("' =1", "'' =1"),
        ("\u00a0=1", "'\u00a0=1"), ("\ufeff=1", "'\ufeff=1"), ("\uff1d1", "'\uff1d1"), ("+49 170", "'+49 170"),
        ("-12.5", "-12.5"), ("+3e7", "+3e7"), ("a=1", "a=1"), ("a-b", "a-b"), ("a\x1b[2J\x9b", "a\\u001b[2J\\u009b"),
        ("two\nlines", "two\nlines"),
    ],
)  # fmt: skip
def test_csv_has_no_formula_and_no_sequence(receiver: Serving, value: str, cell: str) -> None:
    quoted = value.replace("'", "''")
    assert cells(receiver.dsn, f"SELECT '{quoted}' AS a, -5 AS n, -1.5::numeric AS m")[1] == [cell, "-5", "-1.5"]
    assert cells(receiver.dsn, 'SELECT 1 AS "=1+1", 2 AS "a"')[0] == ["'=1+1", "a"]
