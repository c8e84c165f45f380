"""Identifiers: flow ids (which are trace ids) and ``log.record.uid``."""

import os
import random
import time
import uuid
from contextvars import ContextVar
from hashlib import blake2b

# The trace id of the next root span in this context; set only around one start_span().
next_flow_id: ContextVar[uuid.UUID | None] = ContextVar("otelgres_next_flow_id", default=None)

# Its own generator: an application that seeds the module-level one would repeat its ids in every run.
entropy = random.Random()  # noqa: S311 — identifiers, not secrets
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=entropy.seed)

_VERSION_7 = 0x7000 << 64
_VARIANT = 0b10 << 62
# UUID versions whose last 56 bits are random, as the W3C "random" trace flag requires.
_RANDOM_VERSIONS = frozenset({4, 7})


def record_uid() -> str:
    """A UUIDv7 as 32 hex digits: milliseconds, 12 bits of their fraction (244 ns), 62 random bits."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return f"{milliseconds << 80 | fraction << 64 | _VERSION_7 | _VARIANT | entropy.getrandbits(62):032x}"


def parse_flow_id(value: object) -> uuid.UUID | None:
    """``value`` (a UUID, or its text with or without dashes) as a flow id, or None if it is invalid.

    The nil UUID is invalid: in OpenTelemetry an all-zero trace id means "no trace".
    """
    if isinstance(value, str):
        try:
            value = uuid.UUID(value)
        except ValueError:
            return None
    return value if isinstance(value, uuid.UUID) and value.int else None


def is_random(flow_id: uuid.UUID) -> bool:
    """Whether the last 56 bits of ``flow_id`` are random."""
    return flow_id.version in _RANDOM_VERSIONS


def absent_span_id(flow_id: uuid.UUID) -> int:
    """The parent id for spans of a flow none of whose spans is known here; derived from ``flow_id``.

    No span has this id. It prevents such spans from becoming further roots of the flow.
    """
    return int.from_bytes(blake2b(flow_id.bytes, digest_size=8, person=b"otelgres").digest()) or 1
