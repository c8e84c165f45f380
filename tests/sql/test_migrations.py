"""A migration that databases somewhere have applied is never edited: theirs would be refused by the next version."""

import hashlib
from pathlib import Path

from otelgres import sql

KNOWN = Path(__file__).with_name("migrations.sha256")


def test_no_migration_has_changed_since_it_was_written_down() -> None:
    folder = Path(sql.__file__).parent / "migrations"
    known = [line.split() for line in KNOWN.read_text(encoding="utf-8").splitlines()]
    assert known
    changed = [name for was, name in known if hashlib.sha256((folder / name).read_bytes()).hexdigest() != was]
    assert changed == [], "put the change into a migration of its own"
