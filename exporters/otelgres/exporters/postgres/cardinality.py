"""Cardinality limits: how many new series, metrics, resources and scopes each tenant may create per minute.

Data beyond the limit is stored under an overflow row and counted in otel.losses. Only what the database does not
contain counts as new, so a restart does not use up the limit.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otelgres.exporters.postgres.codec.anyvalue import Repairs
from otelgres.exporters.postgres.codec.attributes import AttributeCache
from otelgres.exporters.postgres.codec.dimensions import (
    MetricRow,
    ResourceRow,
    ScopeRow,
    SeriesRow,
    framed,
    metric_row,
    resource_row,
    scope_row,
    series_row,
)
from otelgres.exporters.postgres.codec.known import MetricKey, SeriesKey
from otelgres.exporters.postgres.codec.limits import Limits

SERIES: Final = "series_ids"
METRICS: Final = "metric_ids"
RESOURCES: Final = "resource_ids"
SCOPES: Final = "scope_ids"
_MINUTE: Final = 60.0
# Tenants that are counted separately in a minute; all others share one count.
_TENANTS: Final = 1000
_OTHERS: Final = -1
# The attribute with which the SDKs mark their own overflow.
_SERIES_OVERFLOW: Final = framed(
    b"\x0a", [KeyValue(key="otel.metric.overflow", value=AnyValue(bool_value=True)).SerializeToString()]
)
_RESOURCE_OVERFLOW: Final = KeyValue(key="otelgres.resource.overflow", value=AnyValue(bool_value=True))
# The service, scope or metric that stands for those beyond the limit.
_OVERFLOW: Final = "otelgres.overflow"


class CardinalityLimiter:
    """Counts what is new per tenant and minute. Thread-safe. 0 means no limit.

    ``series`` is also the limit of metrics, ``resources`` also that of scopes; each is counted separately.
    """

    def __init__(self, *, series: int = 0, resources: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = {SERIES: series, METRICS: series, RESOURCES: resources, SCOPES: resources}
        self._used: Counter[tuple[str, int]] = Counter()
        self._tenants: set[int] = set()
        self._clock = clock
        self._minute = 0
        self._lock = threading.Lock()

    def limits(self, kind: str) -> bool:
        """Whether this kind has a limit."""
        return bool(self._most.get(kind))

    def take(self, kind: str, tenant_id: int, wanted: int) -> int:
        """How many of ``wanted`` new ones the tenant may create now; they are counted as created."""
        with self._lock:
            minute = int(self._clock() // _MINUTE)
            if minute != self._minute:
                self._minute = minute
                self._used.clear()
                self._tenants.clear()
            if tenant_id not in self._tenants:
                if len(self._tenants) >= _TENANTS:
                    tenant_id = _OTHERS
                else:
                    self._tenants.add(tenant_id)
            room = max(0, self._most[kind] - self._used[kind, tenant_id])
            self._used[kind, tenant_id] += min(wanted, room)
            return min(wanted, room)

    @property
    def minute(self) -> int:
        """The number of the current minute. Overflow of an earlier minute must be checked again."""
        return int(self._clock() // _MINUTE)


def overflow_series(key: SeriesKey, row: SeriesRow) -> SeriesRow:
    """The overflow series of ``key``: same metric, resource and scope, marked by an attribute."""
    return series_row(key._replace(attributes=_SERIES_OVERFLOW), row.tenant_id, Repairs(), AttributeCache())


def overflow_metric(key: MetricKey, _: MetricRow) -> MetricRow:
    """The one overflow metric of a type."""
    temporality = None if key.temporality is None else key.temporality if key.temporality in (0, 1, 2) else 0
    name = _OVERFLOW.encode()
    return metric_row(MetricKey(name, b"", b"", key.type, temporality, key.is_monotonic, ()), Repairs(), Limits())


def overflow_resource(_: object, row: ResourceRow) -> ResourceRow:
    """The one overflow resource of a tenant."""
    resource = Resource()
    if row.tenant:
        resource.attributes.add(key="tenant.id").value.string_value = row.tenant
    resource.attributes.add(key="service.name").value.string_value = _OVERFLOW
    resource.attributes.append(_RESOURCE_OVERFLOW)
    return resource_row((resource.SerializeToString(), b""), Repairs(), Limits())


def overflow_scope(_: object, __: ScopeRow) -> ScopeRow:
    """The one overflow scope."""
    return scope_row((InstrumentationScope(name=_OVERFLOW).SerializeToString(), b"", ""), Repairs(), Limits())
