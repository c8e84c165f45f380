"""How many series and resources may be new in a minute: whoever makes names up must not fill the database with them.

What is beyond is not lost: it is filed under an overflow series or resource, and counted in the ledger. Only what the
database does not know counts, so a restart costs nothing. Refuses to know rows and SQL.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otelgres.exporters.postgres.codec.anyvalue import Repairs
from otelgres.exporters.postgres.codec.attributes import AttributeCache
from otelgres.exporters.postgres.codec.dimensions import (
    ResourceRow,
    SeriesKey,
    SeriesRow,
    framed,
    resource_row,
    series_row,
)
from otelgres.exporters.postgres.codec.limits import Limits

SERIES: Final = "series_ids"
RESOURCES: Final = "resource_ids"
_MINUTE: Final = 60.0
# As the SDKs mark theirs.
_SERIES_OVERFLOW: Final = framed(
    b"\x0a", [KeyValue(key="otel.metric.overflow", value=AnyValue(bool_value=True)).SerializeToString()]
)
_RESOURCE_OVERFLOW: Final = KeyValue(key="otelgres.resource.overflow", value=AnyValue(bool_value=True))


class CardinalityLimiter:
    """Counts what is new, minute by minute; for any thread. 0: no limit."""

    def __init__(self, *, series: int = 0, resources: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = {SERIES: series, RESOURCES: resources}
        self._used = dict.fromkeys(self._most, 0)
        self._clock = clock
        self._minute = 0
        self._lock = threading.Lock()

    def limits(self, kind: str) -> bool:
        """Whether there is a limit for this kind at all."""
        return bool(self._most.get(kind))

    def take(self, kind: str, wanted: int) -> int:
        """How many of ``wanted`` new ones may be made now; they count as made."""
        with self._lock:
            minute = int(self._clock() // _MINUTE)
            if minute != self._minute:
                self._minute = minute
                self._used = dict.fromkeys(self._most, 0)
            room = max(0, self._most[kind] - self._used[kind])
            self._used[kind] += min(wanted, room)
            return min(wanted, room)

    @property
    def minute(self) -> int:
        """Which minute it is: what overflowed in another one deserves another look."""
        return int(self._clock() // _MINUTE)


def overflow_series(key: SeriesKey) -> SeriesRow:
    """The series that takes the points of one that is too many: its metric, resource and scope, and a mark."""
    return series_row(key._replace(attributes=_SERIES_OVERFLOW), Repairs(), AttributeCache())


def overflow_resource(row: ResourceRow) -> ResourceRow:
    """The resource that stands for those of a service that are too many."""
    resource = Resource()
    resource.attributes.add(key="service.name").value.string_value = row.service_name
    resource.attributes.append(_RESOURCE_OVERFLOW)
    return resource_row((resource.SerializeToString(), b""), Repairs(), Limits())
