"""The documents name what there is: settings, numbers, views, and each link leads somewhere."""

import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest

from collector import settings as settings_module
from collector.settings import Settings
from collector.vitals import NAMES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def settings_rows() -> list[str]:
    """A table row for each setting, from the one table of settings: its name, default and docstring."""
    tree = ast.parse(inspect.getsource(settings_module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    defaults = Settings()
    rows = []
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr), f"{field.target.id} has no docstring"
            assert isinstance(text.value, ast.Constant)
            assert isinstance(text.value.value, str)
            name = field.target.id
            value = getattr(defaults, name)
            rows.append(f"| `{name}` | {'' if value in (None, '') else f'`{value}`'} | {text.value.value} |")
    return rows


@pytest.mark.parametrize(
    ("marker", "rows"),
    [
        ("<!-- settings -->", settings_rows()),
        ("<!-- numbers -->", [f"| `{name}` | {meaning} |" for name, (_, meaning) in NAMES.items()]),
    ],
    ids=["settings", "numbers"],
)
def test_the_tables_of_operations_are_what_the_program_has(marker: str, rows: list[str]) -> None:
    lines = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(marker) - len(rows)
    found = lines[start : start + len(rows)]
    assert found == rows, "put these lines above the marker in docs/operations.md:\n" + "\n".join(rows)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target


def test_the_readme_is_short_and_names_the_views() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    views = (ROOT / "sql" / "views" / "_order").read_text(encoding="utf-8").split()
    for view in views:
        name = view.removesuffix(".sql")
        assert name in text or "CREATE OR REPLACE VIEW _otel." in (ROOT / "sql" / "views" / view).read_text()
