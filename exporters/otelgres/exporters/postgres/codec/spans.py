"""Spans to rows of ``_otel.spans``. Has no connection."""

import struct
from binascii import hexlify
from typing import Any, Final

from otelgres.exporters.batch import Signal
from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.anyvalue import MalformedError, Repairs, string_json
from otelgres.exporters.postgres.codec.attributes import TYPE_KEY
from otelgres.exporters.postgres.codec.known import Known
from otelgres.exporters.postgres.codec.messages import Status
from otelgres.exporters.postgres.codec.rows import (
    MAX_INT8,
    NS_PER_DAY,
    OUT_OF_RANGE_DAY,
    OUT_OF_RANGE_TIME,
    Caches,
    Group,
    LossEntry,
    RejectedItems,
    clamped,
    repaired_field,
)

TABLE: Final = "spans"
COLUMNS: Final = (
    "start_time",
    "start_time_unix_nano",
    "end_time_unix_nano",
    "trace_id",
    "span_id",
    "resource_id",
    "scope_id",
    "tenant_id",
    "flags",
    "kind",
    "dropped_attributes_count",
    "dropped_events_count",
    "dropped_links_count",
    "parent_span_id",
    "name",
    "status_code",
    "status_message",
    "role",
    "trace_state",
    "attributes",
    "events",
    "links",
    "repaired",
)

# The columns up to dropped_links_count have fixed lengths: one pack writes them with their length words.
_FIXED = struct.Struct(">h iq iq iq i16s i8s ii ii ii iq ii iq iq iq".replace(" ", "")).pack
_JSONB_HEAD = struct.Struct(">ib").pack
_PARENT = struct.Struct(">i8s").pack
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_NULLS_2 = pg.NULL * 2
_STATUS_UNSET = pg.int4(0) + pg.NULL
_ROLES: Final = {b'"flow"': 1, b'"phase"': 2, b'"checkpoint"': 3}
_ROLE_FIELDS: Final = {role: pg.int2(role) for role in _ROLES.values()}


def add_spans(request: Any, known: Known, caches: Caches, group: Group) -> RejectedItems:
    """Adds the rows of one parsed request to the group. After a ``MalformedError`` the caller must rewind the group."""
    rejected_items = RejectedItems()
    repairs = Repairs()
    parts, days = group.table(TABLE)
    add = parts.extend
    earliest, latest, _ = group.bounds
    attributes_of = caches.attributes.object
    text_get = caches.texts.get
    text_field = caches.texts.field
    status_get = caches.statuses.get
    count = out_of_range = tenant_id = 0
    midnight = next_midnight = 0  # the day of the previous span, usually also that of the next
    for resource_spans in request.resource_spans:
        resource = (resource_spans.resource, resource_spans.schema_url)
        resource_id = known.resources[resource]
        before, (tenant, tenant_id) = tenant_id, known.tenant(resource)
        if tenant_id != before:
            group.add_losses(Signal.TRACES, before, repairs, out_of_range)
            out_of_range, repairs = 0, Repairs()
        for scope_spans in resource_spans.scope_spans:
            scope_id = known.scopes[scope_spans.scope, scope_spans.schema_url, tenant]
            for span in scope_spans.spans:
                trace_id, span_id = span.trace_id, span.span_id
                if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
                    rejected_items.add(_why(trace_id, span_id), tenant_id)
                    continue
                repaired: dict[str, bytes] = {}
                start = span.start_time_unix_nano
                if midnight <= start < next_midnight:
                    time = start // 1000 - pg.PG_EPOCH_US
                elif earliest <= start < latest:
                    time = start // 1000 - pg.PG_EPOCH_US
                    day = start // NS_PER_DAY
                    days.add(day)
                    midnight, next_midnight = max(day * NS_PER_DAY, earliest), min((day + 1) * NS_PER_DAY, latest)
                else:
                    time = OUT_OF_RANGE_TIME
                    days.add(OUT_OF_RANGE_DAY)
                    out_of_range += 1
                    start = clamped(start, "start_time_unix_nano", repaired, repairs)
                end = span.end_time_unix_nano
                if end > MAX_INT8:
                    end = clamped(end, "end_time_unix_nano", repaired, repairs)

                parent = span.parent_span_id
                if not parent:
                    parent_field = pg.NULL
                elif len(parent) == 8 and parent != _NO_SPAN:
                    parent_field = _PARENT(8, parent)
                else:
                    parent_field = pg.NULL
                    repaired["parent_span_id"] = b'"%s"' % parent.hex().encode()
                    repairs["invalid_parent_span_id"] += 1

                name = span.name
                status = span.status
                if status:
                    status_fields = status_get(status) or _status(status, caches, repaired, repairs)
                else:
                    status_fields = _STATUS_UNSET if span.HasField("status") else _NULLS_2
                raw_attributes = span.attributes
                role_field = attributes_head = pg.NULL
                text = b""
                if raw_attributes:
                    text, keys = attributes_of(raw_attributes, repairs)
                    attributes_head = _JSONB_HEAD(len(text) + 1, 1)
                    if TYPE_KEY in keys:
                        role_field = _role(raw_attributes, caches)
                trace_state = span.trace_state
                events, links = span.events, span.links
                add(
                    (
                        _FIXED(
                            23, 8, time, 8, start, 8, end, 16, trace_id, 8, span_id, 4, resource_id, 4, scope_id,
                            4, tenant_id, 8, span.flags, 4, span.kind, 8, span.dropped_attributes_count,
                            8, span.dropped_events_count, 8, span.dropped_links_count,
                        ),
                        parent_field,
                        text_get(name) or text_field(name, "name", repaired, repairs),
                        status_fields,
                        role_field,
                        text_field(trace_state, "trace_state", repaired, repairs) if trace_state else pg.NULL,
                        attributes_head,
                        text,
                        _events(events, caches, repairs) if events else pg.NULL,
                        _links(links, caches, repairs) if links else pg.NULL,
                        repaired_field(repaired) if repaired else pg.NULL,
                    )
                )  # fmt: skip
                count += 1
    group.counts[TABLE] += count
    group.add_losses(Signal.TRACES, tenant_id, repairs, out_of_range)
    for (owner, reason), number in rejected_items.by_tenant.items():
        group.losses.add(LossEntry("refused", Signal.TRACES, "invalid_span", owner), number, reason)
    return rejected_items


def _why(trace_id: bytes, span_id: bytes) -> str:
    if len(trace_id) != 16:
        return f"trace_id has {len(trace_id)} bytes, not 16"
    if len(span_id) != 8:
        return f"span_id has {len(span_id)} bytes, not 8"
    return "trace_id or span_id is all zeros"


def _status(raw: bytes, caches: Caches, repaired: dict[str, bytes], repairs: Repairs) -> bytes:
    status = Status.FromString(raw)
    message = status.message
    packed = pg.int4(status.code) + (
        caches.texts.field(message, "status_message", repaired, repairs) if message else pg.NULL
    )
    if "status_message" not in repaired and len(raw) <= 512:
        if len(caches.statuses) >= 4096:
            caches.statuses.clear()
        caches.statuses[raw] = packed
    return packed


def _role(raws: Any, caches: Caches) -> bytes:
    for raw in raws:
        key, text = caches.attributes.get(raw) or caches.attributes.miss(raw, Repairs())
        if key == TYPE_KEY:
            return _ROLE_FIELDS.get(_ROLES.get(text[len(key) + 1 :], 0), pg.NULL)
    raise MalformedError("the attribute otelgres.type is missing")


def _first(items: Any, reason: str, caches: Caches, repairs: Repairs) -> Any:
    most = caches.limits.events
    if not most or len(items) <= most:
        return items
    repairs[reason] += len(items) - most
    return items[:most]


def _events(events: Any, caches: Caches, repairs: Repairs) -> bytes:
    items = []
    for event in _first(events, "events_dropped", caches, repairs):
        item = b'{"time_unix_nano":%d,"name":%s' % (event.time_unix_nano, string_json(event.name, repairs))
        if event.attributes:
            item += b',"attributes":' + caches.attributes.object(event.attributes, repairs)[0]
        if event.dropped_attributes_count:
            item += b',"dropped_attributes_count":%d' % event.dropped_attributes_count
        items.append(item + b"}")
    return pg.jsonb(b"[" + b",".join(items) + b"]")


def _links(links: Any, caches: Caches, repairs: Repairs) -> bytes:
    items = []
    for link in _first(links, "links_dropped", caches, repairs):
        item = b'{"trace_id":"%s","span_id":"%s"' % (hexlify(link.trace_id), hexlify(link.span_id))
        if link.trace_state:
            item += b',"trace_state":' + string_json(link.trace_state, repairs)
        if link.flags:
            item += b',"flags":%d' % link.flags
        if link.attributes:
            item += b',"attributes":' + caches.attributes.object(link.attributes, repairs)[0]
        if link.dropped_attributes_count:
            item += b',"dropped_attributes_count":%d' % link.dropped_attributes_count
        items.append(item + b"}")
    return pg.jsonb(b"[" + b",".join(items) + b"]")
