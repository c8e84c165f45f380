"""``otelgres demo`` as a process: what it prints, what is in the database then, and that nothing is left running."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from otelgres.collector.tools.demo.comparison import problem
from otelgres.collector.tools.demo.findings import Findings
from otelgres.collector.tools.demo.system import SentItems
from tests.postgres import temporary_data

OTELGRES = (sys.executable, "-c", "from otelgres.collector.cli import main; main()")
DEADLINE = 180.0
SECTIONS = (
    "Slowest flows",
    "Where incomplete flows stopped",
    "Phase timing",
    "Failed flows",
    "Logs of the newest PaymentDeclinedError",
    "Services",
    "Metrics",
    "Queries to try",
)


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A data folder; making one takes seconds, so tests share it."""
    with temporary_data() as folder:
        yield folder / "data"


class Watched:
    """A running command and every process that was ever seen below it."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*OTELGRES, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a signal meant for it is not for us
            env={name: value for name, value in os.environ.items() if not name.startswith("OTEL")},
        )
        self._root = psutil.Process(self.process.pid)
        self.seen: set[psutil.Process] = {self._root}
        self._output: tuple[str, str] = ("", "")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        self._output = self.process.communicate()

    def until(self, condition: Callable[["Watched"], bool]) -> None:
        """Looks at its descendants until ``condition`` holds, which it must do before the command ends."""
        deadline = time.monotonic() + DEADLINE
        while not condition(self):
            assert time.monotonic() < deadline, f"in vain: {self.commands()}"
            assert self._reader.is_alive(), self._output
            self._look()
            self._reader.join(0.3)

    def ended(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self.until(lambda watched: not watched._reader.is_alive())
        return self.process.returncode, *self._output

    def commands(self) -> list[str]:
        """The command lines of what is alive."""
        lines = []
        for process in self.seen:
            try:
                lines.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return lines

    def left(self, timeout: float = 0.0) -> list[psutil.Process]:
        """What has not ended although the command has, after ``timeout`` seconds; none for one that ends in order."""
        alive = psutil.wait_procs(self.seen - {self._root}, timeout=timeout)[1]
        # A zombie has ended; it is for the system's first process to say so.
        return [process for process in alive if _status(process) not in {None, psutil.STATUS_ZOMBIE}]

    def _look(self) -> None:
        try:
            self.seen.update(self._root.children(recursive=True))
        except psutil.Error:
            return


def _status(process: psutil.Process) -> str | None:
    try:
        return str(process.status())
    except psutil.Error:
        return None


@contextmanager
def watched(*arguments: str) -> Iterator[Watched]:
    command = Watched(*arguments)
    try:
        yield command
    finally:
        for process in command.seen:
            try:
                process.kill()
            except psutil.Error:
                continue
        command.process.wait(DEADLINE)


def sections(output: str) -> dict[str, list[str]]:
    """Title to the rows below it, without the line of column titles."""
    found: dict[str, list[str]] = {}
    for block in output.split("\n\n"):
        title, *lines = block.strip().splitlines()
        found[title.partition(" · ")[0]] = lines[1:]
    return found


def test_it_ends_by_itself_and_shows_what_sql_found(data: Path) -> None:
    with watched("demo", "--seconds", "4", "--data", str(data)) as command:
        code, output, errors = command.ended()
        assert (code, errors) == (0, "")
        assert len(command.seen) > 4  # a receiver, PostgreSQL, three services
        assert command.left() == []
    counts = re.search(r"^([\d,]+) records sent, ([\d,]+) found", output, re.MULTILINE)
    assert counts
    assert counts[1] == counts[2]
    assert int(counts[1].replace(",", "")) > 500
    shown = sections(output)
    assert [title for title in shown if title in SECTIONS] == list(SECTIONS)
    for title in SECTIONS[:-1]:
        assert shown[title], title
        assert shown[title] != ["none"], title
    (stalled,) = shown["Where incomplete flows stopped"]
    assert re.fullmatch(r"[0-9a-f-]{36} +STOCK_RESERVED +\d\d:\d\d:\d\d +[\d.]+ +pay *", stalled)
    assert all(" ORDER_SHIPPED" in row for row in shown["Slowest flows"])
    assert {row.split()[0] for row in shown["Services"]} == {"shop", "stock", "shipping"}
    assert any(re.search(r"error +order refused: the bank declined .*charge, line", row) for row in
               shown["Logs of the newest PaymentDeclinedError"])  # fmt: skip
    assert str(data) in output
    assert "\x1b" not in output


def test_it_uses_a_receiver_that_runs_and_leaves_it_running(data: Path) -> None:
    began = datetime.now(UTC)
    with started_receiver(data) as receiver:
        with watched("demo", "--seconds", "1", "--data", str(data), "--json") as command:
            code, output, errors = command.ended()
            assert (code, errors) == (0, "")
            assert not any("otelgres.collector.cli.attached" in line for line in command.commands())
            assert command.left() == []
        result = json.loads(output)
        assert output.count("\n") == 1
        assert urllib.request.urlopen(f"{receiver['http']}/healthz", timeout=DEADLINE).status == 200
        with psycopg.connect(receiver["dsn"]) as connection:
            stored: dict[str, dict[str, int]] = {
                what: dict(
                    connection.execute(
                        "SELECT service_name, sum(n)::integer FROM ("
                        + " UNION ALL ".join(
                            f"SELECT service_name, 1 AS n FROM otel.{view} WHERE received_at >= %(began)s"
                            for view in views
                        )
                        + ") found GROUP BY 1",
                        {"began": began},
                    ).fetchall()
                )
                for what, views in {"spans": ["spans"], "logs": ["logs", "span_starts", "process_liveness"]}.items()
            }
            assert stored == {what: result["sent"][what] for what in ("spans", "logs")}
            stalled = connection.execute(
                "SELECT flow_id::text, last_checkpoint FROM otel.flows WHERE NOT complete AND start_time >= %s", [began]
            ).fetchall()
            assert [(row["flow_id"], row["last_checkpoint"]) for row in result["incomplete_flows"]] == stalled
            assert [checkpoint for _, checkpoint in stalled] == ["STOCK_RESERVED"]
            assert result["found"]["orders"] == {
                outcome: count for outcome, count in result["sent"]["answers"].items() if outcome != "no answer"
            }
            assert result["sent"]["answers"]["no answer"] == 1
            assert len(result["next"]) == 3
            for statement in result["next"]:
                assert connection.execute(statement).fetchall(), statement
            calls = connection.execute("SELECT DISTINCT caller, callee FROM otel.service_edges").fetchall()
            assert set(calls) == {("shop", "stock"), ("shop", "shipping")}


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
    ids=lambda value: str(value),
)
def test_nothing_is_left_when_it_is_stopped(data: Path, number: int, code: int) -> None:
    with watched("demo", "--seconds", "600", "--data", str(data)) as command:
        command.until(lambda seen: any("otel_setup.demo.shop" in line for line in seen.commands()))
        command.process.send_signal(number)
        assert command.ended()[0] == code
        # Who is killed cannot wait for those who then end by themselves.
        assert command.left(DEADLINE / 3 if number == signal.SIGKILL else 0.0) == []


def test_it_says_why_it_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with watched("demo", "--seconds", "1", "--data", str(tmp_path / "file" / "data")) as command:
        code, _, errors = command.ended()
    assert code == 1
    assert "Traceback" not in errors
    assert "Cannot store PostgreSQL data in" in errors
    assert "Fatal Python error" not in errors


def test_it_says_what_to_install() -> None:
    without_flask = "import sys; sys.modules['flask'] = None; from otelgres.collector.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", without_flask, "demo"], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert ended.returncode == 1
    assert "flask" in ended.stderr
    assert "pip install 'otelgres[demo]'" in ended.stderr


def found(**changes: Any) -> Findings:
    empty: dict[str, Any] = {name: [] for name in Findings.__dataclass_fields__}
    complete = [{"service_name": name, "spans": 5, "logs": 3} for name in ("shop", "stock", "shipping")]
    return Findings(**empty | {"found": complete, "orders": [{"outcome": "taken", "orders": 2}]} | changes)


SENT = SentItems(
    spans=dict.fromkeys(("shop", "stock", "shipping"), 5),
    logs=dict.fromkeys(("shop", "stock", "shipping"), 3),
    answers={"taken": 2, "no answer": 1},
)


def test_a_lost_or_duplicated_record_is_a_problem() -> None:
    assert problem(SENT, found()) is None
    assert "24 records sent" in (problem(SENT, found(found=[])) or "")
    others = found().found[1:]
    lost = problem(SENT, found(found=[{"service_name": "shop", "spans": 4, "logs": 3}, *others]))
    assert lost == "shop sent 5 spans, 4 were found."
    duplicated = problem(SENT, found(found=[{"service_name": "shop", "spans": 5, "logs": 4}, *others]))
    assert duplicated == "shop sent 3 logs, 4 were found."
    assert "stock sent 5 spans, 0 were found" in (problem(SENT, found(found=[found().found[0]])) or "")
    assert "shop.orders" in (problem(SENT, found(orders=[])) or "")


@contextmanager
def started_receiver(data: Path) -> Iterator[dict[str, Any]]:
    """``otelgres up --json`` on ``data``, stopped afterwards; what its line says."""
    process = subprocess.Popen(
        [*OTELGRES, "up", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0
        process.stdout.close()
