"""Long work on a real terminal shows how far it is, how fast and how long yet; in a pipe only what it has to say."""

import os
import pty
import re
import subprocess
from pathlib import Path

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import OTELGRES, environment, run_otelgres, served
from tests.waiting import TIMEOUT

RECORD = '{"timeUnixNano":"1700000000000000000","body":{"stringValue":"x"}}'
LINE = f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{RECORD}]}}]}}]}}\n'


def on_a_terminal(*arguments: str, **environ: str) -> tuple[int, str]:
    """Exit status, and everything that was drawn, without colours."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*OTELGRES, *arguments],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        env=environment(**environ, TERM="xterm-256color", COLUMNS="100"),
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    finally:
        os.close(ours)
        process.kill()
    return process.wait(TIMEOUT), re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


def test_migrations(empty_database: str) -> None:
    status, shown = on_a_terminal("migrate", OTELGRES_DSN=empty_database)
    assert status == 0, shown
    assert re.search(r"steps .*\b\d+/\d+ +\d+%.*/s .*\d:\d\d:\d\d", shown), shown
    assert "migrations applied" in shown


def test_replay(cluster: Cluster, migrated: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    file.write_text(LINE * 50)
    with served(cluster, migrated) as receiver:
        status, shown = on_a_terminal("replay", str(tmp_path), "--endpoint", receiver.http)
        assert status == 0, shown
        size = file.stat().st_size
        assert re.search(rf"bytes .*\b\d+/{size} ", shown), shown
        piped = run_otelgres("replay", str(tmp_path), "--endpoint", receiver.http)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert "nothing left" in piped.stdout
