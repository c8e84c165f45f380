"""Numbers with nouns in messages."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 span``, ``2 spans``, ``1,000 spans``; ``plural`` if it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
