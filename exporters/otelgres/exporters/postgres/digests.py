"""The digests by which a repeated request is recognised, and their rows."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from otelgres.exporters.batch import Batch
from otelgres.exporters.postgres.codec import copybinary as pg

_EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC).date()
# A digest is also stored under the day of one hour ago: see the comment on _otel.digests.
_DIGEST_OVERLAP: Final = timedelta(hours=1)


def request_digest(batch: Batch) -> UUID:
    """The digest by which a retried request is recognised."""
    # SHA-256 instead of a faster hash: a client must not be able to construct two requests with the same digest.
    digest = hashlib.sha256(batch.signal.encode() + b"\0")
    digest.update(batch.payload)
    return UUID(bytes=digest.digest()[:16])


def digest_days(now: datetime) -> set[int]:
    """The days (counted from 1970-01-01) under which the digest of a request written ``now`` is stored."""
    return {(moment.date() - _EPOCH_DAY).days for moment in (now, now - _DIGEST_OVERLAP)}


def digest_rows(digests: list[UUID], days: set[int]) -> list[bytes]:
    """COPY BINARY of the digests under these days."""
    epoch_2000 = (datetime(2000, 1, 1, tzinfo=UTC).date() - _EPOCH_DAY).days
    rows = [
        b"\x00\x02" + pg.text(digest.bytes) + pg.int4(day - epoch_2000)
        # In key order, so that two writers with the same requests do not deadlock.
        for digest in sorted(digests)
        for day in sorted(days)
    ]
    return [pg.HEADER, *rows, pg.TRAILER]
