"""Content codings: what is legal comes through, what is broken is told from what is too large."""

import gzip
import os
import tracemalloc
import zlib

import pytest
import zstandard

from otelgres.collector.otlp.decompression import CorruptBody, OverLimit, UnknownCoding, codings, inflate

LIMIT = 1024 * 1024
PLAIN = os.urandom(5_000) + b"telemetry " * 5_000


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _streamed_zstd(data: bytes) -> bytes:
    # As streaming senders do it: the frame does not say how large its content is.
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


COMPRESSED = [
    ("gzip", gzip.compress(PLAIN)),
    ("gzip", gzip.compress(PLAIN[:20_000]) + gzip.compress(b"") + gzip.compress(PLAIN[20_000:])),
    ("deflate", zlib.compress(PLAIN)),
    ("deflate", _raw_deflate(PLAIN)),
    ("zstd", zstandard.compress(PLAIN)),
    ("zstd", _streamed_zstd(PLAIN)),
    ("zstd", zstandard.compress(PLAIN[:20_000]) + _streamed_zstd(PLAIN[20_000:])),
]


@pytest.mark.parametrize(("coding", "body"), COMPRESSED)
def test_inflates(coding: str, body: bytes) -> None:
    assert inflate(body, (coding,), LIMIT) == PLAIN


@pytest.mark.parametrize(("coding", "body"), COMPRESSED)
def test_limit_is_exact(coding: str, body: bytes) -> None:
    assert inflate(body, (coding,), len(PLAIN)) == PLAIN
    with pytest.raises(OverLimit):
        inflate(body, (coding,), len(PLAIN) - 1)


@pytest.mark.parametrize(("coding", "body"), COMPRESSED)
def test_truncated_or_followed_by_junk_is_corrupt(coding: str, body: bytes) -> None:
    for broken in (body[:-1], body[: len(body) // 2], body[:1], b"", body + b"junk"):
        with pytest.raises(CorruptBody):
            inflate(broken, (coding,), LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_something_else_is_corrupt(coding: str) -> None:
    with pytest.raises(CorruptBody):
        inflate(b'{"resourceSpans": []}', (coding,), LIMIT)


def test_two_codings_are_undone_last_first() -> None:
    assert inflate(gzip.compress(zstandard.compress(PLAIN)), codings("zstd, gzip"), LIMIT) == PLAIN


def test_nothing_to_undo() -> None:
    for header in ("", "identity", "none", "identity, none", " , "):
        assert inflate(PLAIN, codings(header), LIMIT) == PLAIN


def test_names_are_case_insensitive() -> None:
    assert codings("GZip , x-gzip") == ("gzip", "gzip")


@pytest.mark.parametrize("header", ["br", "gzip, br", "compress", "gzip, gzip, gzip", "gzip;q=1"])
def test_unknown_codings(header: str) -> None:
    with pytest.raises(UnknownCoding):
        codings(header)


def _rle_zstd_frame(blocks: int) -> bytes:
    # 128 KiB from every 4 bytes: the densest zstd there is, which no compressor writes.
    frame = b"\x28\xb5\x2f\xfd" + bytes([0, 7 << 3])
    block = ((128 * 1024) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return frame + block * blocks


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("gzip", gzip.compress(bytes(200 * 1024 * 1024))),
        ("gzip, gzip", gzip.compress(gzip.compress(bytes(200 * 1024 * 1024)))),
        ("deflate", zlib.compress(bytes(200 * 1024 * 1024))),
        ("deflate", _raw_deflate(bytes(200 * 1024 * 1024))),
        ("zstd", zstandard.compress(bytes(200 * 1024 * 1024))),
        ("zstd", _rle_zstd_frame(100_000)),
        ("zstd, gzip", gzip.compress(_rle_zstd_frame(100_000))),
    ],
    ids=["gzip", "gzip twice", "zlib", "raw deflate", "zstd", "rle blocks", "rle blocks in gzip"],
)
def test_bombs_cost_bounded_memory(header: str, body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(OverLimit):
            inflate(body, codings(header), LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # zstd may overshoot by one step (32 MiB) before it is seen.
    assert peak < 3 * LIMIT + 40 * 1024 * 1024


def test_millions_of_empty_members_end_quickly() -> None:
    with pytest.raises(CorruptBody):
        inflate(gzip.compress(b"") * 1_000_000, ("gzip",), LIMIT)
    with pytest.raises(CorruptBody):
        inflate(zstandard.compress(b"") * 1_000_000, ("zstd",), LIMIT)
