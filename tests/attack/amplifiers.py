"""The corpus of amplifiers: valid or nearly valid requests that take far more memory or time than their size.

Each has the size that is asked for, before compression. ``answer`` is the HTTP status with which a receiver should
answer: 200 for what is only large, 400 for what has too many parts, and both where either is fine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from otelgres.exporters.batch import Signal
from tests.attack.wire import field, filled, fixed64, inside, nested, varint

NOW: Final = 1_790_000_000_000_000_000
STORED: Final = frozenset({200})
REFUSED: Final = frozenset({400, 413})
EITHER: Final = STORED | REFUSED

_SPAN: Final = field(1, b"t" * 16) + field(2, b"s" * 8)
_POINT: Final = fixed64(3, NOW)
# Signal -> the bytes with which an item of that signal is valid.
_ITEM: Final = {Signal.TRACES: _SPAN, Signal.LOGS: fixed64(1, NOW), Signal.METRICS: field(1, b"m")}
_PAIR: Final = field(1, b"k") + field(2, field(1, b"v"))


@dataclass(frozen=True)
class Amplifier:
    """One kind of request. ``make`` returns the body of about so many bytes."""

    name: str
    signal: Signal
    make: Callable[[int], bytes]
    answer: frozenset[int] = EITHER
    json: bool = False

    @property
    def content_type(self) -> str:
        """Its media type."""
        return "application/json" if self.json else "application/x-protobuf"


def amplifiers(now: int = NOW) -> Iterator[Amplifier]:
    """All of them; the times in them are around ``now`` (Unix nanoseconds)."""
    for signal in Signal:
        yield from _groups(signal)
        yield from _pairs(signal)
    yield from _spans(now)
    yield from _logs()
    yield from _metrics(now)
    for signal in Signal:
        yield from _json(signal)


def _every(path: list[int], unit: bytes) -> Callable[[int], bytes]:
    """The unit as often as it fits into one message at ``path``."""
    return lambda size: inside(path, filled(unit, size))


def _spread(path: list[int], item: bytes, unit: bytes, most: int = 1000) -> Callable[[int], bytes]:
    """Items with at most ``most`` units each, as many as fit."""
    one = field(path[-1], item + unit * most)
    return lambda size: inside(path[:-1], filled(one, size))


def _groups(signal: Signal) -> Iterator[Amplifier]:
    yield Amplifier("empty resource groups", signal, _every([], field(1, b"")), REFUSED)
    yield Amplifier("empty scope groups", signal, _every([1], field(2, b"")), REFUSED)
    yield Amplifier("resource groups of one scope group", signal, _every([], field(1, field(2, b""))), REFUSED)
    yield Amplifier("empty items", signal, _every([1, 2], field(2, b"")), REFUSED)
    yield Amplifier("smallest items", signal, _every([1, 2], field(2, _ITEM[signal])))
    yield Amplifier("repeated resource of one group", signal, _every([1], field(1, field(1, _PAIR))))
    yield Amplifier("repeated scope of one group", signal, _every([1, 2], field(1, field(1, b"n"))))
    yield Amplifier("schema URLs of one group", signal, _every([1], field(3, b"")))
    yield Amplifier("unknown varints of the request", signal, _every([], varint(99 << 3) + b"\x01"))
    yield Amplifier("unknown varints of a group", signal, _every([1], varint(99 << 3) + b"\x01"))
    yield Amplifier("unknown varints of an item", signal, _every([1, 2, 2], varint(99 << 3) + b"\x01"))
    yield Amplifier("unknown empty fields of an item", signal, _every([1, 2, 2], field(99, b"")))
    yield Amplifier("protobuf groups of an item", signal, _every([1, 2, 2], b"\xfb\x06\xfc\x06"))
    yield Amplifier(
        "nested protobuf groups", signal, lambda size: b"\xfb\x06" * (size // 4) + b"\xfc\x06" * (size // 4)
    )
    yield Amplifier(
        "overlong varints", signal, _every([1, 2, 2], b"\x98\x86\x80\x00\x81\x80\x80\x80\x80\x80\x80\x80\x00")
    )
    yield Amplifier("overlong lengths", signal, _every([], b"\x0a\x80\x80\x80\x00"), REFUSED)
    yield Amplifier("zeros", signal, bytes, REFUSED)
    yield Amplifier("distinct resources", signal, _distinct([], lambda n: field(1, field(1, field(1, _named(n))))))
    yield Amplifier("distinct scopes", signal, _distinct([1], lambda n: field(2, field(1, field(1, b"%d" % n)))))
    yield Amplifier("distinct schema URLs", signal, _distinct([], lambda n: field(1, field(3, b"%d" % n))))


def _named(number: int) -> bytes:
    return field(1, b"service.name") + field(2, field(1, b"%d" % number))


def _distinct(path: list[int], make: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def body(size: int) -> bytes:
        parts, used, number = [], 0, 0
        while used < size:
            parts.append(make(number))
            used += len(parts[-1])
            number += 1
        return inside(path, b"".join(parts))

    return body


# Where attributes are, by signal: (name, path of the message, its other bytes, number of the attribute field).
_HOLDERS: Final = {
    Signal.TRACES: (
        ("resource", [1, 1], b"", 1),
        ("scope", [1, 2, 1], b"", 3),
        ("span", [1, 2, 2], _SPAN, 9),
        ("event", [1, 2, 2, 11], b"", 3),
        ("link", [1, 2, 2, 13], b"", 4),
    ),
    Signal.LOGS: (("log record", [1, 2, 2], fixed64(1, NOW), 6),),
    Signal.METRICS: (
        ("metric metadata", [1, 2, 2], field(1, b"m") + field(5, b""), 12),
        ("number point", [1, 2, 2, 5, 1], _POINT + fixed64(6, 1), 7),
        ("exponential histogram point", [1, 2, 2, 10, 1], _POINT, 1),
        ("summary point", [1, 2, 2, 11, 1], _POINT, 7),
        ("exemplar", [1, 2, 2, 5, 1, 5], b"", 7),
    ),
}


def _pairs(signal: Signal) -> Iterator[Amplifier]:
    for name, path, item, number in _HOLDERS[signal]:

        def alone(unit: bytes, path: list[int] = path, item: bytes = item) -> Callable[[int], bytes]:
            return lambda size: inside(path, item + filled(unit, size))

        empty, one_byte = field(number, b""), field(number, field(1, b"k"))
        values = {
            "empty values in an array": lambda size: field(5, filled(field(1, b""), size)),
            "empty pairs in a map": lambda size: field(6, filled(field(1, b""), size)),
            "duplicate keys in a map": lambda size: field(6, filled(field(1, _PAIR), size)),
            "repeated value": lambda size: filled(field(1, b"x"), size),
            "deep value": lambda size: nested([5, 1], 40, field(1, b"x" * size)),
            "deep small values": lambda size: filled(field(5, field(1, nested([5, 1], 40))), size),
            "control characters": lambda size: field(1, b"\x01" * size),
            "large string": lambda size: field(1, b"x" * size),
            "large bytes": lambda size: field(7, b"x" * size),
        }
        yield Amplifier(f"empty attributes of a {name}", signal, alone(empty))
        yield Amplifier(f"one-byte attributes of a {name}", signal, alone(one_byte))
        yield Amplifier(f"duplicate attributes of a {name}", signal, alone(field(number, _PAIR)))
        yield Amplifier(f"attributes of each {name}", signal, _spread(path, item, one_byte))
        for kind, value in values.items():
            if name not in ("span", "log record", "number point", "resource"):
                continue

            def valued(
                size: int, path: list[int] = path, item: bytes = item, number: int = number,
                value: Callable[[int], bytes] = value,
            ) -> bytes:  # fmt: skip
                return inside(path, item + field(number, field(1, b"k") + field(2, value(size))))

            yield Amplifier(f"{kind} of a {name}", signal, valued)
        yield Amplifier(
            f"attributes with control characters of a {name}",
            signal,
            alone(field(number, field(1, b"k") + field(2, field(1, b"\x01" * 60_000)))),
        )


def _spans(now: int) -> Iterator[Amplifier]:
    span = _SPAN + fixed64(7, now) + fixed64(8, now)
    for number, name in ((11, "events"), (13, "links")):
        unit = field(number, b"")
        yield Amplifier(f"empty {name} of a span", Signal.TRACES, _every([1, 2, 2], unit))
        yield Amplifier(f"empty {name} of each span", Signal.TRACES, _spread([1, 2, 2], span, unit))
        attributes = field(number, field(7 - number // 4 * 2, b"") * 1000)
        yield Amplifier(f"attributes of {name} of a span", Signal.TRACES, _spread([1, 2, 2], span, attributes, 10))
    yield Amplifier("repeated status", Signal.TRACES, _every([1, 2, 2], field(15, b"")))
    yield Amplifier("repeated fields of a status", Signal.TRACES, _every([1, 2, 2, 15], b"\x18\x01"))
    yield Amplifier("large name", Signal.TRACES, lambda size: inside([1, 2, 2], span + field(5, b"x" * size)), STORED)
    yield Amplifier("zeros in a name", Signal.TRACES, lambda size: inside([1, 2, 2], span + field(5, bytes(size))))
    yield Amplifier(
        "invalid UTF-8 in a name", Signal.TRACES, lambda size: inside([1, 2, 2], span + field(5, b"\xff" * size))
    )
    yield Amplifier("entity references", Signal.TRACES, _every([1, 1], field(3, b"")))
    yield Amplifier("keys of an entity reference", Signal.TRACES, _every([1, 1, 3], field(3, b"")))

    def at(step: int) -> Callable[[int], bytes]:
        def one(number: int) -> bytes:
            ids = field(1, number.to_bytes(16, "big", signed=False) if number else b"\1" * 16) + field(2, b"s" * 8)
            return field(2, ids + fixed64(7, now - number % 2000 * step) + fixed64(8, now) + field(5, b"%d" % number))

        return _distinct([1, 2], one)

    yield Amplifier("distinct names and minutes", Signal.TRACES, at(60_000_000_000))
    yield Amplifier("distinct days", Signal.TRACES, at(86_400_000_000_000))


def _logs() -> Iterator[Amplifier]:
    def body(value: Callable[[int], bytes]) -> Callable[[int], bytes]:
        return lambda size: inside([1, 2, 2, 5], value(size))

    yield Amplifier("large body", Signal.LOGS, body(lambda size: field(1, b"x" * size)), STORED)
    yield Amplifier("zeros in a body", Signal.LOGS, body(lambda size: field(1, bytes(size))))
    yield Amplifier("control characters in a body", Signal.LOGS, body(lambda size: field(1, b"\x01" * size)))
    yield Amplifier("deep body", Signal.LOGS, body(lambda size: nested([5, 1], 40, field(1, b"x" * size))))
    yield Amplifier("empty values of a body", Signal.LOGS, body(lambda size: field(5, filled(field(1, b""), size))))
    yield Amplifier("empty pairs of a body", Signal.LOGS, body(lambda size: field(6, filled(field(1, b""), size))))
    yield Amplifier(
        "bodies of 100 kB of control characters",
        Signal.LOGS,
        lambda size: inside([1, 2], filled(field(2, field(5, field(5, field(1, field(1, b"\x01" * 100_000))))), size)),
    )
    yield Amplifier(
        "bodies of 3 MB of empty values",
        Signal.LOGS,
        lambda size: inside(
            [1, 2], filled(field(2, field(5, field(5, b"\x0a\x00" * 1_500_000))), max(size, 3_100_000))
        ),
    )


def _metrics(now: int) -> Iterator[Amplifier]:
    point = fixed64(3, now)
    number = point + fixed64(6, 1)
    for name, data, body in (
        ("number", 5, b""), ("number", 5, number), ("histogram", 9, point), ("exponential histogram", 10, point),
        ("summary", 11, point),
    ):  # fmt: skip
        kind = "smallest" if body else "empty"
        yield Amplifier(f"{kind} {name} points", Signal.METRICS, _every([1, 2, 2, data], field(1, body)))
    yield Amplifier("repeated data of a metric", Signal.METRICS, _every([1, 2, 2], field(5, b"")))
    yield Amplifier("metrics without points", Signal.METRICS, _every([1, 2], field(2, field(5, b""))))
    yield Amplifier(
        "empty exemplars of a point", Signal.METRICS, lambda size: _gauge(number + filled(field(5, b""), size))
    )
    yield Amplifier("empty exemplars of each point", Signal.METRICS, _spread([1, 2, 2, 5, 1], number, field(5, b"")))

    def histogram(size: int) -> bytes:
        count = size // 16
        return inside([1, 2, 2, 9, 1], point + field(6, bytes(8 * (count + 1))) + field(7, bytes(8 * count)))

    yield Amplifier("packed buckets", Signal.METRICS, histogram)
    yield Amplifier("unpacked buckets", Signal.METRICS, _every([1, 2, 2, 9, 1], fixed64(6, 1)))
    yield Amplifier(
        "packed buckets of each point",
        Signal.METRICS,
        lambda size: inside(
            [1, 2, 2, 9],
            filled(field(1, point + field(6, bytes(8 * 2001)) + field(7, bytes(8 * 2000))), max(size, 40_000)),
        ),
    )
    path = [1, 2, 2, 10, 1]
    yield Amplifier(
        "one-byte buckets", Signal.METRICS, lambda size: inside(path, point + field(8, field(2, b"\x01" * size)))
    )
    yield Amplifier(
        "unpacked one-byte buckets",
        Signal.METRICS,
        lambda size: inside(path, point + field(8, filled(b"\x10\x01", size))),
    )
    yield Amplifier(
        "buckets beyond int64 of each point",
        Signal.METRICS,
        lambda size: inside(
            [1, 2, 2, 10],
            filled(field(1, point + field(8, field(2, (b"\xff" * 9 + b"\x01") + b"\x01" * 20_000))), max(size, 21_000)),
        ),
    )
    yield Amplifier(
        "empty quantiles", Signal.METRICS, lambda size: inside([1, 2, 2, 11, 1], point + filled(field(6, b""), size))
    )
    yield Amplifier(
        "distinct metrics",
        Signal.METRICS,
        _distinct([1, 2], lambda n: field(2, field(1, b"%d" % n) + field(5, field(1, number)))),
    )
    yield Amplifier(
        "distinct series",
        Signal.METRICS,
        _distinct([1, 2, 2, 5], lambda n: field(1, number + field(7, field(1, b"k") + field(2, field(1, b"%d" % n))))),
    )


def _gauge(point: bytes) -> bytes:
    return inside([1, 2, 2], field(1, b"m") + field(5, field(1, point)))


_JSON_NAMES: Final = {
    Signal.TRACES: (b"resourceSpans", b"scopeSpans", b"spans"),
    Signal.LOGS: (b"resourceLogs", b"scopeLogs", b"logRecords"),
    Signal.METRICS: (b"resourceMetrics", b"scopeMetrics", b"metrics"),
}


def _json(signal: Signal) -> Iterator[Amplifier]:
    groups, scopes, items = _JSON_NAMES[signal]
    levels = {
        "groups": (b'{"%s":[' % groups, b"]}"),
        "scope groups": (b'{"%s":[{"%s":[' % (groups, scopes), b"]}]}"),
        "items": (b'{"%s":[{"%s":[{"%s":[' % (groups, scopes, items), b"]}]}]}"),
        "attributes": (b'{"%s":[{"%s":[{"%s":[{"attributes":[' % (groups, scopes, items), b"]}]}]}]}"),
        "unknown keys": (b'{"unknown":[', b"]}"),
    }
    # Repeated inside the level, with a comma between; `depth` of nesting as it comes.
    units = {
        "{}": b"{}", "[]": b"[]", "0": b"0", "null": b"null", '""': b'""', "1.5": b"1.5", "{of a}": b'{"a":0}',
        "[[[": b"[" * 60 + b"]" * 60, "digits": b"9" * 400, "long text": b'"' + b"x" * 100_000 + b'"',
        "escapes": b'"' + b"\\u0001" * 1000 + b'"', "non-ASCII text": b'"' + "é\U0001f600".encode() * 10_000 + b'"',
    }  # fmt: skip
    for level, (before, after) in levels.items():
        for name, unit in units.items():
            if level in ("scope groups", "items") and name in (
                "digits",
                "long text",
                "escapes",
                "non-ASCII text",
                "1.5",
            ):
                continue

            def body(size: int, before: bytes = before, after: bytes = after, unit: bytes = unit) -> bytes:
                return before + b",".join([unit] * max(1, size // (len(unit) + 1))) + after

            yield Amplifier(f"JSON {name} in {level}", signal, body, json=True)
    yield Amplifier(f"JSON [[[… of {signal}", signal, lambda size: b"[" * size, REFUSED, json=True)
    yield Amplifier(f"JSON distinct unknown keys of {signal}", signal, _json_keys, json=True)


def _json_keys(size: int) -> bytes:
    return b"{" + b",".join([b'"%d":0' % number for number in range(size // 10)]) + b"}"
