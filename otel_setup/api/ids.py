"""The identifiers that an application makes: flow ids (which are trace ids) and ``log.record.uid``.

Refuses to know spans, providers and the SDK, so that importing it costs nothing.
"""

import os
import random
import time
import uuid
from contextvars import ContextVar
from hashlib import blake2b

# The trace id that the next root span of this context must take; set around one start_span() only.
next_flow_id: ContextVar[uuid.UUID | None] = ContextVar("otelgres_next_flow_id", default=None)

# Not the module-level generator: an application that seeds that one would repeat its ids from run to run.
entropy = random.Random()  # noqa: S311 — identifiers, not secrets
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=entropy.seed)

_VERSION_7 = 0x7000 << 64
_VARIANT = 0b10 << 62
# Kinds of UUID whose last 56 bits are random, which is what the W3C "random" trace flag promises to samplers.
_RANDOM_VERSIONS = frozenset({4, 7})


def record_uid() -> str:
    """A time-ordered UUIDv7 as 32 hex digits: milliseconds, 12 bits of their fraction (244 ns), 62 random bits."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return f"{milliseconds << 80 | fraction << 64 | _VERSION_7 | _VARIANT | entropy.getrandbits(62):032x}"


def parse_flow_id(value: object) -> uuid.UUID | None:
    """The flow id that ``value`` (UUID or its text, with or without dashes) says, or None where it says none.

    The nil UUID is no flow id: OpenTelemetry takes an all-zero trace id as "no trace".
    """
    if isinstance(value, str):
        try:
            value = uuid.UUID(value)
        except ValueError:
            return None
    return value if isinstance(value, uuid.UUID) and value.int else None


def is_random(flow_id: uuid.UUID) -> bool:
    """Whether the last 56 bits of ``flow_id`` may be taken as random."""
    return flow_id.version in _RANDOM_VERSIONS


def absent_span_id(flow_id: uuid.UUID) -> int:
    """The parent that spans of a flow name when no span of that flow is known here: the same for one flow everywhere.

    No span has this id. It keeps such spans from becoming second roots of the flow.
    """
    return int.from_bytes(blake2b(flow_id.bytes, digest_size=8, person=b"otelgres").digest()) or 1
