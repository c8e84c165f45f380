"""The documents' own SELECT statements, word for word, with schema compat on the search_path; skipped without them."""

import re
import uuid
from pathlib import Path

import psycopg
import pytest

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
# Documents whose relations are there.
DOCUMENTS = ("000", "001", "002", "003", "004")
# What a document leaves for its reader to fill in, in quotes.
PLACEHOLDERS = {"'experiment_uuid'": f"'{uuid.uuid5(uuid.NAMESPACE_URL, 'experiment')}'"}


def statements(document: str) -> list[str]:
    """What its SQL blocks ask; what they create is ours to provide."""
    found = []
    for path in SEEDS.glob(f"{document}*") if SEEDS.is_dir() else []:
        for block in re.findall(r"```sql\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            found += [one.strip() for one in block.split(";") if re.match(r"\s*(--[^\n]*\n\s*)*SELECT\b", one)]
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_they_run_unchanged(database: str, document: str) -> None:
    if not SEEDS.is_dir():
        pytest.skip("the documents are not here")
    with psycopg.connect(database) as connection:
        connection.execute("SET search_path = compat, public")
        for statement in statements(document):
            filled = statement
            for placeholder, value in PLACEHOLDERS.items():
                filled = filled.replace(placeholder, value)
            connection.execute(filled.encode()).fetchall()


def test_documents_that_ask_something_are_read() -> None:
    if not SEEDS.is_dir():
        pytest.skip("the documents are not here")
    assert len(statements("000")) == 3
    assert len(statements("003")) == 3
    assert len(statements("004")) == 6
