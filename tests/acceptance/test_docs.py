"""The documents name what there is: settings, numbers, views, and each link leads somewhere."""

import re
from pathlib import Path

import psycopg
import pytest

from otelgres.collector.cli.group import COMMANDS
from otelgres.collector.telemetry.metrics import NAMES
from otelgres.collector.tools.reference.configuration import configuration_reference
from otelgres.collector.tools.reference.relations import sql_reference

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_numbers_of_operations_are_what_the_program_has() -> None:
    rows = [f"| `{name}` | {about.labels} | {about.help} |" for name, about in NAMES.items()]
    lines = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("<!-- numbers -->") - len(rows)
    found = lines[start : start + len(rows)]
    assert found == rows, "put these lines above the marker in docs/operations.md:\n" + "\n".join(rows)


def test_the_reference_pages_are_fresh(database: str) -> None:
    docs = ROOT / "docs"
    assert (docs / "configuration.md").read_text(encoding="utf-8") == configuration_reference(), "run `make docs`"
    with psycopg.connect(database) as connection:
        assert (docs / "sql-reference.md").read_text(encoding="utf-8") == sql_reference(connection), "run `make docs`"


def test_every_command_that_is_named_exists() -> None:
    for document in DOCUMENTS:
        for name in re.findall(r"`otelgres ([a-z]+)", document.read_text(encoding="utf-8")):
            # `otelgres spool 2` is what a spool file begins with.
            assert name in (*COMMANDS, "spool"), f"{document.name}: otelgres {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_has_a_target(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target


def test_the_readme_is_short_and_names_what_there_is(database: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    with psycopg.connect(database) as connection:
        for name in re.findall(r"(?:FROM|d\+) (otel\.\w+)", text):
            found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
            assert found == (True,), name
