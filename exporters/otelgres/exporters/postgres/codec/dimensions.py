"""Resources, scopes, metrics and series as rows, identified by the hash of their content.

Has no connection.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from otelgres.exporters.batch import Signal
from otelgres.exporters.postgres.codec import tenant
from otelgres.exporters.postgres.codec.anyvalue import Repairs, fields, key_value, readable, string_json
from otelgres.exporters.postgres.codec.attributes import AttributeCache
from otelgres.exporters.postgres.codec.hashes import content_hash, digest_of
from otelgres.exporters.postgres.codec.known import Known, MetricKey, ResourceKey, ScopeKey, SeriesKey
from otelgres.exporters.postgres.codec.limits import Limits, within
from otelgres.exporters.postgres.codec.messages import InstrumentationScope, Resource

UNKNOWN_SERVICE: Final = "unknown_service"


def framed(tag: bytes, raws: Iterable[bytes]) -> bytes:
    """Raw KeyValues as the ``attributes`` of a :class:`SeriesKey`, in protobuf encoding. ``tag`` is one byte."""
    out = bytearray()
    for raw in raws:
        out += tag
        size = len(raw)
        while size > 0x7F:
            out.append(size & 0x7F | 0x80)
            size >>= 7
        out.append(size)
        out += raw
    return bytes(out)


@dataclass
class Missing:
    """Rows that have no id yet, by key, and the repairs made in them, by tenant."""

    resources: dict[ResourceKey, "ResourceRow"] = field(default_factory=dict)
    scopes: dict[ScopeKey, "ScopeRow"] = field(default_factory=dict)
    metrics: dict[MetricKey, "MetricRow"] = field(default_factory=dict)
    repairs: defaultdict[str, Repairs] = field(default_factory=lambda: defaultdict(Repairs))
    limits: Limits = field(default_factory=Limits)

    def __bool__(self) -> bool:
        return bool(self.resources or self.scopes or self.metrics)


def find_missing(signal: Signal, request: Any, known: Known, missing: Missing) -> None:
    """Adds the resources, scopes and metrics of ``request`` (a lazy message) that are not in ``known``.

    Raises ``MalformedError`` or protobuf's DecodeError; rows added before the error may stay.
    """
    if signal is Signal.TRACES:
        pairs = [(group, group.scope_spans) for group in request.resource_spans]
    elif signal is Signal.LOGS:
        pairs = [(group, group.scope_logs) for group in request.resource_logs]
    else:
        pairs = [(group, group.scope_metrics) for group in request.resource_metrics]
    for group, scopes in pairs:
        resource = (group.resource, group.schema_url)
        if resource not in known.resources and resource not in missing.resources:
            repairs = Repairs()
            row = missing.resources[resource] = resource_row(resource, repairs, missing.limits)
            missing.repairs[row.tenant] += repairs
            if row.tenant:
                known.tenants[resource] = row.tenant
        owner = known.tenants.get(resource, "")
        for scope in scopes:
            key = (scope.scope, scope.schema_url, owner)
            if key not in known.scopes and key not in missing.scopes:
                missing.scopes[key] = scope_row(key, missing.repairs[owner], missing.limits)
            if signal is Signal.METRICS:
                for metric in scope.metrics:
                    metric_key = metric_key_of(metric, owner)
                    if metric_key and metric_key not in known.metrics and metric_key not in missing.metrics:
                        missing.metrics[metric_key] = metric_row(metric_key, missing.repairs[owner], missing.limits)


_DATA: Final = (
    ("gauge", 5, False, False),
    ("sum", 7, True, True),
    ("histogram", 9, True, False),
    ("exponential_histogram", 10, True, False),
    ("summary", 11, False, False),
)


def metric_key_of(metric: Any, owner: str) -> MetricKey | None:
    """The key of a lazy Metric of a tenant; None if it has no data of a known type."""
    for name, number, has_temporality, has_monotonic in _DATA:
        if metric.HasField(name):
            data = getattr(metric, name)
            return MetricKey(
                metric.name,
                metric.description,
                metric.unit,
                number,
                data.aggregation_temporality if has_temporality else None,
                data.is_monotonic if has_monotonic else None,
                tuple(metric.metadata),
                owner,
            )
    return None


class ResourceRow(NamedTuple):
    """A row of ``_otel.resources``; JSON columns as text. ``tenant`` is "" if it has none."""

    hash: UUID
    service_name: str
    service_namespace: str | None
    service_instance_id: str | None
    attributes: str
    dropped_attributes_count: int
    entity_refs: str | None
    schema_url: str
    repaired: str | None
    tenant: str


class ScopeRow(NamedTuple):
    """A row of ``_otel.scopes``; JSON columns as text."""

    hash: UUID
    name: str
    version: str
    attributes: str
    dropped_attributes_count: int
    schema_url: str
    repaired: str | None


class MetricRow(NamedTuple):
    """A row of ``_otel.metrics``; JSON columns as text."""

    hash: UUID
    name: str
    description: str
    unit: str
    type: int
    temporality: int | None
    is_monotonic: bool | None
    metadata: str
    repaired: str | None


class SeriesRow(NamedTuple):
    """A row of ``_otel.series``; attributes as JSON text. ``tenant_id`` is that of its resource, no column."""

    hash: UUID
    metric_id: int
    resource_id: int
    scope_id: int
    attributes: str
    tenant_id: int


def resource_row(key: ResourceKey, repairs: Repairs, limits: Limits) -> ResourceRow:
    """The row of a resource. Raises ``MalformedError`` or protobuf's DecodeError for invalid bytes."""
    raw, schema_url = key
    resource = Resource.FromString(raw)
    attributes, canonical, owner = _marked(list(resource.attributes), repairs, AttributeCache(limits))
    repaired: dict[str, bytes] = {}
    refs = [_entity_ref(ref, repairs) for ref in resource.entity_refs]
    entity_refs = f"[{','.join(refs)}]" if refs else None
    plain = orjson.loads(attributes)
    return ResourceRow(
        content_hash(canonical, schema_url, resource.dropped_attributes_count, entity_refs),
        _plain(plain, "service.name") or UNKNOWN_SERVICE,
        _plain(plain, "service.namespace"),
        _plain(plain, "service.instance.id"),
        attributes,
        resource.dropped_attributes_count,
        entity_refs,
        _text(schema_url, "schema_url", repaired, repairs),
        _repaired(repaired),
        owner,
    )


def _marked(raws: list[bytes], repairs: Repairs, cache: AttributeCache) -> tuple[str, bytes, str]:
    """As :func:`_attributes`, and the tenant, "" if there is none. The limits do not apply to its mark."""
    mark = tenant.mark_of(raws)
    if mark is None:
        return *_attributes(raws, repairs, cache), ""
    text, canonical = _attributes(mark.others, repairs, cache, mark.removed)
    return tenant.with_mark(text, mark), canonical, mark.tenant


def _entity_ref(ref: Any, repairs: Repairs) -> str:
    def texts(raws: Iterable[bytes]) -> str:
        return ",".join([string_json(raw, repairs).decode() for raw in raws])

    return (
        f'{{"schema_url":{texts([ref.schema_url])},"type":{texts([ref.type])},'
        f'"id_keys":[{texts(ref.id_keys)}],"description_keys":[{texts(ref.description_keys)}]}}'
    )


def scope_row(key: ScopeKey, repairs: Repairs, limits: Limits) -> ScopeRow:
    """The row of a scope. Raises ``MalformedError`` or protobuf's DecodeError for invalid bytes."""
    raw, schema_url, _ = key
    scope = InstrumentationScope.FromString(raw)
    attributes, canonical = _attributes(scope.attributes, repairs, AttributeCache(limits))
    repaired: dict[str, bytes] = {}
    return ScopeRow(
        content_hash(canonical, schema_url, scope.name, scope.version, scope.dropped_attributes_count),
        _text(scope.name, "name", repaired, repairs),
        _text(scope.version, "version", repaired, repairs),
        attributes,
        scope.dropped_attributes_count,
        _text(schema_url, "schema_url", repaired, repairs),
        _repaired(repaired),
    )


def metric_row(key: MetricKey, repairs: Repairs, limits: Limits) -> MetricRow:
    """The row of a metric. Raises ``MalformedError`` for invalid metadata."""
    metadata, canonical = _attributes(key.metadata, repairs, AttributeCache(limits))
    repaired: dict[str, bytes] = {}
    return MetricRow(
        content_hash(canonical, *key[:6]),
        _text(key.name, "name", repaired, repairs),
        _text(key.description, "description", repaired, repairs),
        _text(key.unit, "unit", repaired, repairs),
        key.type,
        key.temporality,
        key.is_monotonic,
        metadata,
        _repaired(repaired),
    )


def series_row(key: SeriesKey, tenant_id: int, repairs: Repairs, cache: AttributeCache) -> SeriesRow:
    """The row of a series. Raises ``MalformedError`` for invalid attributes."""
    raws = (key.attributes[start:end] for _, _, start, end in fields(key.attributes))
    attributes, canonical = _attributes(raws, repairs, cache)
    return SeriesRow(
        content_hash(canonical, key.metric_id, key.resource_id, key.scope_id),
        key.metric_id,
        key.resource_id,
        key.scope_id,
        attributes,
        tenant_id,
    )


def _attributes(
    raws: Iterable[bytes], repairs: Repairs, cache: AttributeCache, more: tuple[tuple[bytes, bytes], ...] = ()
) -> tuple[str, bytes]:
    """KeyValues as (JSON object, canonical bytes that do not depend on their order).

    ``more`` pairs are part of the canonical bytes only.
    """
    rest = iter(raws)
    kept, beyond = within(rest, cache.limits)
    text = cache.object(kept, repairs)[0].decode()
    pairs = sorted([*[_pair(raw, cache) for raw in kept], *more])
    if beyond is not None:
        count, digest = digest_of(chain((beyond,), rest))
        repairs["attributes_dropped"] += count
        pairs.append((b"", digest))
    return text, b"\x1e".join([key + b"\x1f" + value for key, value in pairs])


def _pair(raw: bytes, cache: AttributeCache) -> tuple[bytes, bytes]:
    entry = cache.get(raw)
    if entry is None:
        # Repaired, cut or long. Values that differ only after the cut still give different rows.
        if len(raw) > cache.limits.shortest:
            return b"", digest_of((raw,))[1]
        return key_value(raw, Repairs(), cache.outermost)
    key, text = entry
    return key, text[len(key) + 1 :]


def _plain(attributes: dict[str, Any], key: str) -> str | None:
    value = attributes.get(key)
    return value if isinstance(value, str) else None


def _text(raw: bytes, name: str, repaired: dict[str, bytes], repairs: Repairs) -> str:
    exact = string_json(raw, repairs)
    if exact[:1] == b"{":
        repaired[name] = exact
    return readable(raw)


def _repaired(repaired: dict[str, bytes]) -> str | None:
    if not repaired:
        return None
    return "{" + ",".join(f'"{name}":{value.decode()}' for name, value in repaired.items()) + "}"
