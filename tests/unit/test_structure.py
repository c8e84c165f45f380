"""What keeps the tree readable: module length and module docstrings."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("otel_setup", "collector", "exporters", "sql")
LONGEST = 400
# Rooms that everything is thrown into.
NO_NAMES = {"utils", "util", "helpers", "common", "manager", "base", "misc"}
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST, "split it: it does more than one thing"
    assert path.stem not in NO_NAMES, "name it after what it does"
    assert ast.get_docstring(ast.parse(text)), "say what it is"
