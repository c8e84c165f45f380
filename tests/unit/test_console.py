"""Text of others on our console and on a guarded terminal."""

import io
import os
import re
import sys
from typing import Any

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from otelgres.collector.inspect.console import TerminalConsole
from otelgres.collector.system.terminal import GuardedStream, clean, escaped, guard_streams, stripped

pty = pytest.importorskip("pty", reason="needs a terminal of Unix")
EVIL = "a\x1b[2Jb\x9bc\u202ed\x07e\x7ff\rg"


def _table() -> Table:
    table = Table(EVIL, title=EVIL)
    table.add_row(EVIL)
    return table


@pytest.mark.parametrize(
    "renderable",
    [EVIL, Text(EVIL, "bold"), Panel(EVIL, title=EVIL), _table(), Text(EVIL, "link http://evil/\x1b\\")],
    ids=["text", "styled", "panel", "table", "link"],
)
def test_a_console_writes_only_its_own_styles(renderable: Any) -> None:
    out = io.StringIO()
    TerminalConsole(file=out, force_terminal=True, width=80, highlight=False).print(renderable, "[bold]:smile:[/bold]")
    shown = out.getvalue()
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", re.sub(r"\x1b\[[0-9;]*m", "", shown)) is None, repr(shown)
    assert "[bold]:smile:[/bold]" in shown


def test_what_is_escaped() -> None:
    assert escaped(EVIL) == r"a\u001b[2Jb\u009bc\u202ed\u0007e\u007ff\u000dg"
    assert escaped("tab\tline\nline\r\né → 日本 👩‍👩‍👧 עברית") == "tab\tline\nline\r\né → 日本 👩‍👩‍👧 עברית"
    assert escaped("\ud800") == r"\ud800"
    assert stripped(EVIL) == "a[2Jbcdefg"
    assert clean(EVIL).isprintable()


def test_streams_that_are_terminals_are_guarded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as terminal:  # noqa: PTH123 (a descriptor)
        pipe = io.StringIO()
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setattr(sys, "stderr", pipe)
        guard_streams()
        guarded = sys.stdout
        guard_streams()
        assert sys.stdout is guarded
        assert isinstance(guarded, GuardedStream)
        assert sys.stderr is pipe
        assert (guarded.isatty(), guarded.fileno(), guarded.encoding) == (True, slave, "utf-8")
        print("\x1b[2Jé")
        sys.stdout.buffer.write("\x9bé".encode() + b"\xff\n")
        TerminalConsole().print(Text("\x1bred", "red"))
        assert os.read(master, 1000).decode() == "\\u001b[2Jé\r\n\\u009bé\\xff\r\n\x1b[31mred\x1b[0m\r\n"
        monkeypatch.undo()
    os.close(master)
