"""Export requests like those of real applications, generated from a seed and encoded before the measurement.

A span has 9 attributes and about 340 bytes of OTLP: a unique path, one of 28,000 ports, one of 5,000 users, and six
with few values; a trace has 8 spans. A log record has 7 attributes, with unique uid and body. Requests are assembled
from encoded pieces, because protobuf's Python objects take 30 µs per span; a test decodes them with the official
messages.
"""

import random
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from otelgres.exporters.batch import Signal

ITEMS_PER_REQUEST: Final = 512
_SPANS_PER_TRACE: Final = 8
_REQUESTS_PER_SERVICE: Final = 4
_NS_PER_ITEM: Final = 19_531
_FIXED64: Final = struct.Struct("<Q").pack
_DOUBLE: Final = struct.Struct("<d").pack


class MadeRequest(NamedTuple):
    """One export request and its number of spans, records or points."""

    payload: bytes
    items: int


def make_requests(signal: Signal, items: int, seed: int, at: int) -> Iterator[MadeRequest]:
    """Requests with ``items`` items in total, from the Unix time ``at`` (ns). Deterministic."""
    rng = random.Random(seed)  # noqa: S311 (repeatable is what it should be)
    encode = _ENCODERS[signal]
    for number, first in enumerate(range(0, items, ITEMS_PER_REQUEST)):
        size = min(items - first, ITEMS_PER_REQUEST)
        yield MadeRequest(_envelope(number, encode(rng, size, at + first * _NS_PER_ITEM)), size)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    """A field with text, bytes or another message."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _pair(number: int, key: str, value: str | int) -> bytes:
    """A KeyValue as field ``number``."""
    any_value = _field(1, value.encode()) if isinstance(value, str) else _number(3, value)
    return _field(number, _field(1, key.encode()) + _field(2, any_value))


def _pairs(number: int, key: str, values: Iterable[str] | Iterable[int]) -> list[bytes]:
    """Repeated KeyValues, each encoded once."""
    return [_pair(number, key, value) for value in values]


def _before(number: int, key: str, width: int) -> bytes:
    """The start of a KeyValue whose value has ``width`` ASCII characters, without the value; for unique values."""
    return _pair(number, key, "x" * width)[:-width]


def _envelope(number: int, items: list[bytes]) -> bytes:
    """An Export…ServiceRequest; its levels have the same field numbers for all signals."""
    service = ("checkout", "inventory", "payment", "gateway")[number // _REQUESTS_PER_SERVICE % 4]
    attributes = {
        "service.name": service,
        "service.version": "2.14.0",
        "service.instance.id": f"{service}-7d9c5b6f44-x2x8p",
        "host.name": "node-17.example.internal",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.1",
    }
    resource = b"".join([_pair(1, key, value) for key, value in attributes.items()])
    scope = _field(1, b"opentelemetry.instrumentation.flask") + _field(2, b"0.66b1")
    return _field(1, _field(1, resource) + _field(2, _field(1, scope) + b"".join([_field(2, item) for item in items])))


_ROUTES: Final = [f"/{name}/<int:id>/{verb}" for name in ("orders", "items", "users", "carts") for verb in "abcde"]
_SPAN_ATTRIBUTES: Final = [
    _pairs(9, "http.request.method", ["GET", "GET", "POST", "PUT"]),
    _pairs(9, "http.route", _ROUTES),
    _pairs(9, "http.response.status_code", [200, 200, 200, 201, 404, 500]),
    _pairs(9, "url.scheme", ["http", "https"]),
    _pairs(9, "code.line.number", range(20, 400, 7)),
    _pairs(9, "thread.id", range(4711, 4727)),
    _pairs(9, "network.peer.port", range(32_768, 32_768 + 28_000)),
    _pairs(9, "user.id", [f"u{number}" for number in range(5_000)]),
]
_SPAN_PATH: Final = _before(9, "url.path", 22)
_SPAN_NAMES: Final = [_field(5, f"GET {route}".encode()) for route in _ROUTES]
_SERVER, _INTERNAL = _number(6, 2), _number(6, 1)
_SPAN_FAILED: Final = _field(15, _field(2, b"ValueError: out of stock") + _number(3, 2))
_SPAN_FLAGS: Final = b"\x85\x01" + struct.pack("<I", 0x100)


def _spans(rng: random.Random, size: int, at: int) -> list[bytes]:
    bits, rand = rng.getrandbits, rng.random
    spans: list[bytes] = []
    trace_id = parent = b""
    for index in range(size):
        span_id = _FIXED64(bits(64) | 1)
        if index % _SPANS_PER_TRACE == 0:
            trace_id, parent = b"\x0a\x10" + bits(128).to_bytes(16, "big"), b""
        start = at + index * _NS_PER_ITEM
        spans.append(
            b"".join(
                (
                    trace_id,
                    b"\x12\x08" + span_id,
                    parent,
                    _SPAN_NAMES[int(rand() * len(_SPAN_NAMES))],
                    _INTERNAL if parent else _SERVER,
                    b"\x39" + _FIXED64(start),
                    b"\x41" + _FIXED64(start + 1_000_000 + bits(24)),
                    *[values[int(rand() * len(values))] for values in _SPAN_ATTRIBUTES],
                    _SPAN_PATH,
                    b"/orders/%014d" % bits(40),
                    b"" if bits(6) else _SPAN_FAILED,
                    _SPAN_FLAGS,
                )
            )
        )
        parent = parent or b"\x22\x08" + span_id
    return spans


_LOG_ATTRIBUTES: Final = [
    _pairs(6, "code.file.path", ["/srv/shop/views.py", "/srv/shop/stock.py", "/srv/shop/pay.py"]),
    _pairs(6, "code.function.name", [f"handle_{number}" for number in range(40)]),
    _pairs(6, "code.line.number", range(20, 400, 7)),
    _pairs(6, "process.pid", [4711, 4712, 4713]),
    _pairs(6, "thread.id", range(140_000_000_000_000, 140_000_000_000_016)),
    _pairs(6, "thread.name", ["MainThread", "worker-1", "worker-2"]),
]
_LOG_LEVELS: Final = [
    _number(2, number) + _field(3, text) for number, text in ((9, b"INFO"), (9, b"INFO"), (13, b"WARN"), (17, b"ERROR"))
]
_LOG_UID: Final = _before(6, "log.record.uid", 32)
_LOG_BODY: Final = _field(5, _field(1, b"x" * 43))[:-43]
_LOG_FLAGS: Final = b"\x45" + struct.pack("<I", 1)


def _log_records(rng: random.Random, size: int, at: int) -> list[bytes]:
    bits, rand = rng.getrandbits, rng.random
    records: list[bytes] = []
    trace_id = b""
    for index in range(size):
        if index % _SPANS_PER_TRACE == 0:
            trace_id = b"\x4a\x10" + bits(128).to_bytes(16, "big")
        time = at + index * _NS_PER_ITEM
        records.append(
            b"".join(
                (
                    b"\x09" + _FIXED64(time),
                    _LOG_LEVELS[bits(2)],
                    _LOG_BODY,
                    b"order %014d accepted, user %07d" % (bits(40), bits(16)),
                    *[values[int(rand() * len(values))] for values in _LOG_ATTRIBUTES],
                    _LOG_UID,
                    b"%032x" % bits(128),
                    _LOG_FLAGS,
                    trace_id,
                    b"\x52\x08" + _FIXED64(bits(64) | 1),
                    b"\x59" + _FIXED64(time + 50_000),
                )
            )
        )
    return records


def _series(number: int) -> list[bytes]:
    """The attributes of 320 series, as field ``number`` of a point."""
    return [
        method + route + status
        for method in _pairs(number, "http.request.method", ["GET", "POST", "PUT", "DELETE"])
        for route in _pairs(number, "http.route", _ROUTES)
        for status in _pairs(number, "http.response.status_code", [200, 201, 404, 500])
    ]


_NUMBER_SERIES, _HISTOGRAM_SERIES = _series(7), _series(9)
_BOUNDS: Final = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
_PACKED_BOUNDS: Final = _field(7, b"".join(map(_DOUBLE, _BOUNDS)))
_CUMULATIVE: Final = _number(2, 2)


def _metrics(rng: random.Random, size: int, at: int) -> list[bytes]:
    """One collection: a counter, a gauge, and a histogram with a quarter of the points."""
    start = b"\x11" + _FIXED64(at - 3_600_000_000_000)
    numbers = [_number_point(rng, index, start, at) for index in range(size - size // 4)]
    histograms = [_histogram_point(rng, index, start, at) for index in range(size // 4)]
    half = len(numbers) // 2
    return [
        _field(1, b"http.server.request.count")
        + _field(3, b"{request}")
        + _field(7, b"".join(numbers[:half]) + _CUMULATIVE + _number(3, 1)),
        _field(1, b"process.memory.usage") + _field(3, b"By") + _field(5, b"".join(numbers[half:])),
        _field(1, b"http.server.request.duration") + _field(3, b"s") + _field(9, b"".join(histograms) + _CUMULATIVE),
    ]


def _number_point(rng: random.Random, index: int, start: bytes, at: int) -> bytes:
    series = _NUMBER_SERIES[index % len(_NUMBER_SERIES)]
    return _field(1, start + b"\x19" + _FIXED64(at + index) + b"\x31" + _FIXED64(rng.getrandbits(30)) + series)


def _histogram_point(rng: random.Random, index: int, start: bytes, at: int) -> bytes:
    counts = [rng.getrandbits(10) for _ in range(len(_BOUNDS) + 1)]
    return _field(
        1,
        b"".join(
            (
                start,
                b"\x19" + _FIXED64(at + index),
                b"\x21" + _FIXED64(sum(counts)),
                b"\x29" + _DOUBLE(rng.random() * 1000),
                _field(6, b"".join(map(_FIXED64, counts))),
                _PACKED_BOUNDS,
                _HISTOGRAM_SERIES[index % len(_HISTOGRAM_SERIES)],
                b"\x59" + _DOUBLE(0.001) + b"\x61" + _DOUBLE(9.5),
            )
        ),
    )


_ENCODERS: Final[dict[Signal, Callable[[random.Random, int, int], list[bytes]]]] = {
    Signal.TRACES: _spans,
    Signal.LOGS: _log_records,
    Signal.METRICS: _metrics,
}
