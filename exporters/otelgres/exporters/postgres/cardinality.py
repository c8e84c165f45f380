"""Cardinality limits: how many new series and resources are created per minute.

Data beyond the limit is stored under an overflow series or resource and counted in otel.losses. Only what the database
does not contain counts as new, so a restart does not use up the limit.
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
# The attribute with which the SDKs mark their own overflow.
_SERIES_OVERFLOW: Final = framed(
    b"\x0a", [KeyValue(key="otel.metric.overflow", value=AnyValue(bool_value=True)).SerializeToString()]
)
_RESOURCE_OVERFLOW: Final = KeyValue(key="otelgres.resource.overflow", value=AnyValue(bool_value=True))


class CardinalityLimiter:
    """Counts new series and resources per minute. Thread-safe. 0 means no limit."""

    def __init__(self, *, series: int = 0, resources: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = {SERIES: series, RESOURCES: resources}
        self._used = dict.fromkeys(self._most, 0)
        self._clock = clock
        self._minute = 0
        self._lock = threading.Lock()

    def limits(self, kind: str) -> bool:
        """Whether this kind has a limit."""
        return bool(self._most.get(kind))

    def take(self, kind: str, wanted: int) -> int:
        """How many of ``wanted`` new ones may be created now; they are counted as created."""
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
        """The number of the current minute. Overflow of an earlier minute must be checked again."""
        return int(self._clock() // _MINUTE)


def overflow_series(key: SeriesKey) -> SeriesRow:
    """The overflow series of ``key``: same metric, resource and scope, marked by an attribute."""
    return series_row(key._replace(attributes=_SERIES_OVERFLOW), Repairs(), AttributeCache())


def overflow_resource(row: ResourceRow) -> ResourceRow:
    """The overflow resource of the service of ``row``."""
    resource = Resource()
    resource.attributes.add(key="service.name").value.string_value = row.service_name
    resource.attributes.append(_RESOURCE_OVERFLOW)
    return resource_row((resource.SerializeToString(), b""), Repairs(), Limits())
