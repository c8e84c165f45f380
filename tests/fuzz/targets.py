"""What is fuzzed: functions that take bytes and raise if a contract does not hold. Knows no source of bytes.

A refusal of the documented kind is fine; any other exception is a finding.
"""

import atexit
import shutil
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from google.protobuf.message import DecodeError

from otel_setup.api.propagation import extract
from otelgres.collector.otlp.decompression import CorruptBody, OverLimit, UnknownCoding, codings, inflate
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.items import parse as parse_whole
from otelgres.exporters.otlp_json import InvalidJson, request_from_json
from otelgres.exporters.outline import TooManyParts
from otelgres.exporters.postgres.codec import copybinary
from otelgres.exporters.postgres.codec.anyvalue import MalformedError
from otelgres.exporters.postgres.codec.decode import COLUMNS, _AnyId, add_rows, parse
from otelgres.exporters.postgres.codec.dimensions import Missing
from otelgres.exporters.postgres.codec.known import Known
from otelgres.exporters.postgres.codec.rows import Bounds, Caches, Group
from otelgres.exporters.spool.files import open_file
from otelgres.exporters.spool.queue import SpoolQueue
from tests.fuzz import corpus, mutate
from tests.fuzz.mutate import Mutator

_TEXT = {"name", "body", "severity_text", "event_name", "status_message", "trace_state"}
_JSON = {"attributes", "events", "links", "body_value", "exemplars", "repaired"}
_LIMIT = 64 * 1024
_BOUNDS = Bounds(0, 2**63 - 1, corpus.NOW)
_caches = Caches()
_SPOOL_NAME = f"{1:020}-1-{corpus.SPOOL_KEY.hex()}.spool"
_folder = Path(tempfile.mkdtemp(prefix="otelgres-fuzz-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


@dataclass(frozen=True)
class Target:
    """A contract and where to start from."""

    check: Callable[[bytes], bool]
    """Whether the input was taken (and is worth going on from)."""
    mutator: Mutator
    seeds: Sequence[bytes] = field(repr=False)


def codec(signal: Signal) -> Callable[[bytes], bool]:
    """Requests become rows of COPY BINARY whose text is text and whose JSON is JSON, or are malformed."""

    def check(data: bytes) -> bool:
        batch = Batch(signal, data)
        group = Group(_BOUNDS)
        try:
            # As in life: first what is new, against nothing known; then rows.
            parse(batch, Known(), Missing())
            known = Known(_AnyId(), _AnyId(), _AnyId())
            add_rows(batch, parse(batch, known, Missing()), known, _caches, group)
        except MalformedError:
            return False
        for table, place, _ in group.pending:
            # What the writer does when it has the ids of the new series.
            group.parts[table][place] = copybinary.int8(1)
        for table, columns in COLUMNS.items():
            _rows(b"".join(group.parts.get(table, ())), columns, group.counts[table])
        return True

    return check


def _rows(data: bytes, columns: Sequence[str], rows: int) -> None:
    at = 0
    for _ in range(rows):
        (count,) = struct.unpack_from(">h", data, at)
        assert count == len(columns)
        at += 2
        for column in columns:
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            if length < 0:
                continue
            value = data[at : at + length]
            assert len(value) == length, column
            at += length
            if column in _TEXT:
                value.decode("utf-8")
                assert b"\x00" not in value, column
            elif column in _JSON:
                assert value[:1] == b"\x01", column
                value[1:].decode("utf-8")
                assert b"\x00" not in value, column
                _json(value[1:])
    assert at == len(data)


def _json(data: bytes) -> None:
    # Numbers beyond what orjson takes are fine for PostgreSQL.
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "number" not in str(error):
            raise


def json(signal: Signal) -> Callable[[bytes], bool]:
    """JSON becomes a request that protobuf can read, or is refused in words."""

    def check(data: bytes) -> bool:
        try:
            payload = request_from_json(signal, data)
        except (InvalidJson, TooManyParts):
            return False
        try:
            parse_whole(Batch(signal, payload))
        except DecodeError as error:
            raise AssertionError("what came out is no request") from error
        return True

    return check


def inflated(data: bytes) -> bool:
    """A compressed body is undone within its limit, or refused."""
    chain = ("gzip", "deflate", "zstd", "deflate, gzip", "gzip, zstd", "x-gzip")[data[0] % 6 if data else 0]
    try:
        assert len(inflate(data[1:], codings(chain), _LIMIT)) <= _LIMIT
    except (CorruptBody, OverLimit):
        return False
    return True


def coding_names(data: bytes) -> bool:
    """A header's value names codings that there are, or is refused."""
    try:
        assert set(codings(data.decode("latin-1"))) <= {"gzip", "deflate", "zstd"}
    except UnknownCoding:
        return False
    return True


def spool_file(data: bytes) -> bool:
    """What is read of a file, whatever it holds, was written; each batch once, and in order."""
    path = _folder / _SPOOL_NAME
    path.write_bytes(data)
    file = open_file(path)
    assert file is not None
    with file:
        entries = file.pending()
        numbers = [entry.number for entry in entries]
        assert numbers == sorted(set(numbers))
        assert all(file.read(entry) == corpus.SPOOLED[entry.number] for entry in entries)
        assert file.lost >= 0
        for entry in entries:
            file.settle(entry)
    assert path.exists() == file.foreign
    return bool(entries)


def spool_queue(data: bytes) -> bool:
    """A receiver's folder with such a file is emptied, and a batch that comes later is not touched."""
    folder = Path(tempfile.mkdtemp(dir=_folder))
    (folder / _SPOOL_NAME).write_bytes(data)
    spool = SpoolQueue(folder, 1 << 20)
    later = Batch(Signal.LOGS, b"later")
    spool.append([later])
    found = []
    while spooled := spool.read(1000):
        found += [item.batch for item in spooled]
        spool.forget(spooled[-1].position)
    assert found.pop() == later
    assert [batch for batch in corpus.SPOOLED if batch in found] == found
    for loss in spool.losses():
        spool.forget_loss(loss)
    assert spool.empty
    spool.close()
    shutil.rmtree(folder)
    return bool(found)


def propagated(data: bytes) -> bool:
    """A message from anywhere carries a context or none; it never fails whoever reads it."""
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        message = {"otel": {"traceparent": data.decode("latin-1"), "baggage": data.decode("latin-1")}}
    with extract(message):
        return isinstance(message, dict)


TARGETS: dict[str, Target] = {
    **{f"codec_{signal}": Target(codec(signal), mutate.wire, [corpus.REQUESTS[signal]]) for signal in Signal},
    **{f"json_{signal}": Target(json(signal), mutate.text, [corpus.JSON[signal]]) for signal in Signal},
    "inflate": Target(inflated, mutate.raw, corpus.COMPRESSED),
    "codings": Target(coding_names, mutate.text, [b"gzip", b"deflate, zstd", b"x-gzip;q=1", b"identity"]),
    "spool_file": Target(spool_file, mutate.raw, [corpus.SPOOL]),
    "spool_queue": Target(spool_queue, mutate.raw, [corpus.SPOOL]),
    "propagation": Target(
        propagated,
        mutate.text,
        [
            b'{"otel":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","baggage":"a=b"}}',
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ],
    ),
}
