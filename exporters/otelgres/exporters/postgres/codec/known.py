"""The ids of what is stored already, by raw content: the hot path needs one lookup for each. Has no connection."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

# Clients whose resources never repeat must not fill the memory: beyond this size the cache is cleared.
_MOST: Final = 200_000
_LONGEST_KEY: Final = 16 * 1024
_MOST_BYTES: Final = 128 * 1024 * 1024

ResourceKey: TypeAlias = tuple[bytes, bytes]  # Resource bytes, schema_url
# InstrumentationScope bytes, schema_url and the tenant ("": none), so that the overflow of one tenant is not another's.
ScopeKey: TypeAlias = tuple[bytes, bytes, str]


class MetricKey(NamedTuple):
    """The raw identity and description of a metric; ``type`` is the number of its data field in Metric.

    ``tenant`` is no part of its identity: see :data:`ScopeKey`.
    """

    name: bytes
    description: bytes
    unit: bytes
    type: int
    temporality: int | None
    is_monotonic: bool | None
    metadata: tuple[bytes, ...]
    tenant: str = ""


class SeriesKey(NamedTuple):
    """One stream of points. ``attributes`` are the point's attribute fields in order, including their tags.

    They are kept as the client encoded them, so that the end of an encoded point can be looked up unchanged.
    """

    metric_id: int
    resource_id: int
    scope_id: int
    attributes: bytes


@dataclass
class Known:
    """Ids by raw content."""

    resources: dict[ResourceKey, int] = field(default_factory=dict)
    scopes: dict[ScopeKey, int] = field(default_factory=dict)
    metrics: dict[MetricKey, int] = field(default_factory=dict)
    series: dict[SeriesKey, int] = field(default_factory=dict)
    # The tenant of each resource that has one, and the ids of the tenants by name.
    tenants: dict[ResourceKey, str] = field(default_factory=dict)
    tenant_ids: dict[str, int] = field(default_factory=dict)
    # Of all keys that were added since everything was cleared.
    _bytes: int = 0

    def tenant(self, resource: ResourceKey) -> tuple[str, int]:
        """The name and id of the tenant of a known resource; ``("", 0)`` if it has none."""
        name = self.tenants.get(resource)
        return (name, self.tenant_ids[name]) if name else ("", 0)

    def trim(self) -> bool:
        """Clears caches that are too large; returns whether all are. Call it only between groups."""
        if self._bytes > _MOST_BYTES:
            self.forget()
            return True
        if max(len(self.resources), len(self.tenant_ids)) > _MOST:
            self._forget_resources()
        for ids in (self.scopes, self.metrics, self.series):
            if len(ids) > _MOST:
                ids.clear()
        return False

    def forget_large(
        self,
        resources: Iterable[ResourceKey],
        scopes: Iterable[ScopeKey],
        metrics: Iterable[MetricKey],
        series: Iterable[SeriesKey],
    ) -> None:
        """Clears the ids of those new keys that are long, which the caches would hold for good.

        Call it once their rows are made.
        """
        for key in resources:
            if self._is_large(len(key[0]) + len(key[1])):
                self.resources.pop(key, None)
                if len(self.tenants.pop(key, "")) > _LONGEST_KEY:
                    # Other resources may have the same tenant.
                    self._forget_resources()
        for scope in scopes:
            if self._is_large(sum(map(len, scope))):
                self.scopes.pop(scope, None)
        for metric in metrics:
            if self._is_large(sum(map(len, (*metric[:3], *metric.metadata, metric.tenant)))):
                self.metrics.pop(metric, None)
        for one in series:
            if self._is_large(len(one.attributes)):
                self.series.pop(one, None)

    def forget(self) -> None:
        """Clears everything, because the database may be a different one."""
        self._bytes = 0
        self._forget_resources()
        for ids in (self.scopes, self.metrics, self.series):
            ids.clear()

    def _is_large(self, size: int) -> bool:
        """Whether a new key is too long to be kept. All are counted: the caller may have them in a list."""
        self._bytes += size
        return size > _LONGEST_KEY

    def _forget_resources(self) -> None:
        self.resources.clear()
        self.tenants.clear()
        self.tenant_ids.clear()
