"""Numbers with nouns."""

from otelgres.exporters.plural import counted


def test_one_is_singular_and_all_else_plural() -> None:
    assert [counted(number, "span") for number in (0, 1, 2, 1000)] == ["0 spans", "1 span", "2 spans", "1,000 spans"]
    assert [counted(number, "batch", "batches") for number in (1, 2)] == ["1 batch", "2 batches"]
