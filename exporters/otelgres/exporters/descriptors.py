"""What the releases of protobuf that we allow say of a field in different ways."""

from typing import Any


def is_repeated(field: Any) -> bool:
    """Whether ``field``, a descriptor, is a list. Older releases say so by a label, which later ones no longer have."""
    found: bool = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
    return found
