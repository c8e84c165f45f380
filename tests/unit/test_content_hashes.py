"""The identity of a stored row does not depend on how its hash is computed: it must stay what it is in databases."""

import hashlib
from uuid import UUID

import pytest

from otelgres.exporters.postgres.codec.hashes import content_hash


@pytest.mark.parametrize("unit", [b"a", b"'", b"\"'", b"\\\x00", b"\xff\n"])
@pytest.mark.parametrize("times", [1, 65_536, 200_000])
def test_large_attributes_are_hashed_as_small_ones(unit: bytes, times: int) -> None:
    for parts in ((1, 2, 3), (b"url", 0, None), (b"name", b"", b"1", 5, 2, True)):
        whole = repr((unit * times, *parts)).encode()
        assert content_hash(unit * times, *parts) == UUID(bytes=hashlib.sha256(whole).digest()[:16])
