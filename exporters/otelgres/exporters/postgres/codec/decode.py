"""One batch to rows: parses the request and calls the module of its signal. Has no connection."""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outline import TooManyParts, outline
from otelgres.exporters.postgres.codec import logs, messages, metrics, spans
from otelgres.exporters.postgres.codec.anyvalue import MalformedError
from otelgres.exporters.postgres.codec.dimensions import Missing, find_missing
from otelgres.exporters.postgres.codec.known import Known
from otelgres.exporters.postgres.codec.limits import Limits
from otelgres.exporters.postgres.codec.rows import Bounds, Caches, Group, RejectedItems
from otelgres.exporters.slices import SLICE_BYTES, SLICE_PARTS, slices
from otelgres.exporters.wire import Malformed

# COPY column lists by table. Tables are written in this order: spans last, because its trigger locks rows of the
# roll-up tables until the commit.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    **metrics.COLUMNS,
    logs.TABLE: logs.COLUMNS,
    spans.TABLE: spans.COLUMNS,
}

_MESSAGES: Final[dict[Signal, Any]] = {
    Signal.TRACES: messages.TracesRequest,
    Signal.LOGS: messages.LogsRequest,
    Signal.METRICS: messages.MetricsRequest,
}
_ADDERS: Final = {
    Signal.TRACES: spans.add_spans,
    Signal.LOGS: logs.add_logs,
    Signal.METRICS: metrics.add_metrics,
}


def parts_of(batch: Batch, limits: Limits) -> Iterator[Batch]:
    """The batch in parts of a bounded size, one at a time: no more than one of them should be parsed at once.

    Counts the whole batch first. Raises :class:`MalformedError`, also for a request that is beyond the limits.
    """
    parts = batch.parts if batch.parts is not None else _counted(batch, limits)
    if parts <= SLICE_PARTS and len(batch.payload) <= SLICE_BYTES:
        return iter((batch,))
    return (Batch(batch.signal, part) for part in slices(batch.signal, batch.payload))


def _counted(batch: Batch, limits: Limits) -> int:
    try:
        found = outline(batch.signal, batch.payload, limits.outline)
    except Malformed as error:
        raise MalformedError(f"the body is not an OTLP {batch.signal} request: {error}") from error
    except TooManyParts as error:
        raise MalformedError(str(error)) from error
    assert found is not None  # the number of steps is not limited
    return found.parts


def parse(batch: Batch, known: Known, missing: Missing) -> Any:
    """The lazy message of a batch. Dimensions that are not in ``known`` are added to ``missing``.

    Raises :class:`MalformedError` if the bytes are not a request of its signal.
    """
    try:
        request = _MESSAGES[batch.signal].FromString(batch.payload)
        find_missing(batch.signal, request, known, missing)
    except (MalformedError, DecodeError) as error:
        raise MalformedError(f"the body is not an OTLP {batch.signal} request: {_why(error)}") from error
    return request


def _why(error: Exception) -> str:
    # The prefix names an internal type, which means nothing to a client.
    return str(error).rpartition("': ")[2]


class _AnyId(dict[Any, int]):
    """Contains an id for every key, for checking a batch without a database."""

    def __missing__(self, key: Any) -> int:
        return 0

    def __contains__(self, key: object) -> bool:
        return True

    def get(self, key: Any, default: Any = None) -> Any:
        return 0


def check(batch: Batch, caches: Caches, bounds: Bounds) -> RejectedItems:
    """The items that :func:`add_rows` would reject. Raises :class:`MalformedError`. Stores nothing."""
    # No series is known, because the attributes of a point are parsed only for a new series.
    known = Known(_AnyId(), _AnyId(), _AnyId())
    rejected_items = RejectedItems()
    for part in parts_of(batch, caches.limits):
        # First with an empty Known, so that every resource and scope is parsed.
        parse(part, Known(), Missing())
        rejected_items += add_rows(part, parse(part, known, Missing()), known, caches, Group(bounds))
    return rejected_items


def add_rows(batch: Batch, request: Any, known: Known, caches: Caches, group: Group) -> RejectedItems:
    """Adds the rows of a parsed batch to the group, all or none. Raises :class:`MalformedError`."""
    mark = group.mark()
    try:
        rejected_items = _ADDERS[batch.signal](request, known, caches, group)
    except (MalformedError, DecodeError) as error:
        group.rewind(mark)
        raise MalformedError(f"the body is not an OTLP {batch.signal} request: {_why(error)}") from error
    return rejected_items
