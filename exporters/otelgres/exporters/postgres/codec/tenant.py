"""The mark of a tenant, the resource attribute ``tenant.id``, and how it is kept whatever else a resource has.

No limit on attributes, keys or values applies to it, and no longer key takes its place by being cut.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from otelgres.exporters.postgres.codec.anyvalue import Repairs, fields, key_value

_KEY: Final = b"tenant.id"


class Mark(NamedTuple):
    """The mark of a resource: its value as JSON, the tenant's name, and the attributes to which the limits apply.

    ``removed`` has the pairs (JSON texts) that are not in ``others``.
    """

    value: bytes
    tenant: str
    others: Sequence[bytes]
    removed: tuple[tuple[bytes, bytes], ...]


def mark_of(raws: list[bytes]) -> Mark | None:
    """The last ``tenant.id`` of KeyValues if it is text and not empty, else None. Raises ``MalformedError``."""
    marks = [raw for raw in raws if _KEY in raw and _key(raw) == _KEY]
    if not marks:
        return None
    key, value = key_value(marks[-1], Repairs())
    name = _name(value)
    if not name:
        return None
    if len(marks) > 1:
        # All of them are stored, as for every other key; none is a token's mark, which is there once.
        return Mark(value, name, raws, ())
    return Mark(value, name, [raw for raw in raws if raw is not marks[0]], ((key, value),))


def with_mark(text: str, mark: Mark) -> str:
    """A JSON object with the mark, and no other member of its name."""
    members = orjson.loads(text)
    if members.pop(_KEY.decode(), None) is not None:
        text = orjson.dumps(members).decode()
    return f'{{"{_KEY.decode()}":{mark.value.decode()}{"," if members else ""}{text[1:]}'


def _name(value: bytes) -> str:
    plain = orjson.loads(value)
    if isinstance(plain, dict) and plain.keys() & {"$string", "$utf8"}:
        # Text that PostgreSQL cannot store: its exact representation, so that two such tenants stay different.
        return value.decode()
    return plain if isinstance(plain, str) else ""


def _key(raw: bytes) -> bytes:
    key = b""
    for number, wire, start, end in fields(raw):
        if number == 1 and wire == 2:
            key = raw[start:end]
    return key
