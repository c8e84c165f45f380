"""Log records to rows of ``_otel.logs``. Has no connection."""

import hashlib
import re
import struct
import sys
from typing import Any, Final

from otelgres.exporters.batch import Signal
from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.anyvalue import Repairs, any_value, fields, readable
from otelgres.exporters.postgres.codec.attributes import UID_KEY
from otelgres.exporters.postgres.codec.known import Known
from otelgres.exporters.postgres.codec.limits import cut_value
from otelgres.exporters.postgres.codec.rows import (
    MAX_INT8,
    NS_PER_DAY,
    OUT_OF_RANGE_DAY,
    OUT_OF_RANGE_TIME,
    Caches,
    Group,
    RejectedItems,
    clamped,
    repaired_field,
)

TABLE: Final = "logs"
COLUMNS: Final = (
    "time",
    "time_unix_nano",
    "observed_time_unix_nano",
    "resource_id",
    "scope_id",
    "tenant_id",
    "severity_number",
    "flags",
    "dropped_attributes_count",
    "trace_id",
    "span_id",
    "uid",
    "severity_text",
    "event_name",
    "body",
    "body_value",
    "attributes",
    "repaired",
)

# Up to scope_id; then severity_number to dropped_attributes_count.
_FIXED = struct.Struct(">h iq iq iq ii ii".replace(" ", "")).pack
_COUNTS = struct.Struct(">ii iq iq".replace(" ", "")).pack
_JSONB_HEAD = struct.Struct(">ib").pack
_IDS = struct.Struct(">i16si8s").pack
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_NULLS_2 = pg.NULL * 2
_NO_UIDS: Final = (b"null", b'""')
_SDK_UID = re.compile(rb"\x0a\x0elog\.record\.uid\x12\x22\x0a\x20([0-9a-fA-F]{32})").fullmatch
_HEX_UID = re.compile(rb'"[0-9a-fA-F]{32}"').fullmatch


def add_logs(request: Any, known: Known, caches: Caches, group: Group) -> RejectedItems:
    """Adds the rows of one parsed request to the group. After a ``MalformedError`` the caller must rewind the group.

    No log record is rejected: every content can be stored.
    """
    repairs = Repairs()
    parts, days = group.table(TABLE)
    add = parts.extend
    earliest, latest, received = group.bounds
    attributes_of = caches.attributes.object
    text_field = caches.texts.field
    most_text = caches.limits.text_bytes or sys.maxsize
    outermost = caches.attributes.outermost
    count = out_of_range = tenant_id = 0
    midnight = next_midnight = 0  # the day of the previous record, usually also that of the next
    for resource_logs in request.resource_logs:
        resource = (resource_logs.resource, resource_logs.schema_url)
        resource_id = known.resources[resource]
        before, (tenant, tenant_id) = tenant_id, known.tenant(resource)
        if tenant_id != before:
            group.add_losses(Signal.LOGS, before, repairs, out_of_range)
            out_of_range, repairs = 0, Repairs()
        tenant_field = pg.int4(tenant_id) if tenant_id else pg.NULL
        for scope_logs in resource_logs.scope_logs:
            scope_id = known.scopes[scope_logs.scope, scope_logs.schema_url, tenant]
            for record in scope_logs.log_records:
                repaired: dict[str, bytes] = {}
                own, observed = record.time_unix_nano, record.observed_time_unix_nano
                filed = own or observed or received
                if midnight <= filed < next_midnight:
                    time = filed // 1000 - pg.PG_EPOCH_US
                elif earliest <= filed < latest:
                    time = filed // 1000 - pg.PG_EPOCH_US
                    day = filed // NS_PER_DAY
                    days.add(day)
                    midnight, next_midnight = max(day * NS_PER_DAY, earliest), min((day + 1) * NS_PER_DAY, latest)
                else:
                    time = OUT_OF_RANGE_TIME
                    days.add(OUT_OF_RANGE_DAY)
                    out_of_range += 1
                if own > MAX_INT8:
                    own = clamped(own, "time_unix_nano", repaired, repairs)
                if observed > MAX_INT8:
                    observed = clamped(observed, "observed_time_unix_nano", repaired, repairs)

                raw_attributes = record.attributes
                uid_field = attributes_head = pg.NULL
                text = b""
                if raw_attributes:
                    text, keys = attributes_of(raw_attributes, repairs)
                    attributes_head = _JSONB_HEAD(len(text) + 1, 1)
                    if UID_KEY in keys:
                        uid_field = _uid(raw_attributes, caches)
                        if tenant_id:
                            uid_field = _tenants_uid(uid_field, tenant_id)
                trace_id, span_id = record.trace_id, record.span_id
                if len(trace_id) == 16 and len(span_id) == 8 and trace_id != _NO_TRACE and span_id != _NO_SPAN:
                    ids = _IDS(16, trace_id, 8, span_id)
                else:
                    ids = _id(trace_id, 16, _NO_TRACE, "trace_id", repaired, repairs)
                    ids += _id(span_id, 8, _NO_SPAN, "span_id", repaired, repairs)
                severity_text, event_name = record.severity_text, record.event_name
                add(
                    (
                        _FIXED(
                            18, 8, time, 8, own, 8, observed, 4, resource_id, 4, scope_id,
                        ),
                        tenant_field,
                        _COUNTS(4, record.severity_number, 8, record.flags, 8, record.dropped_attributes_count),
                        ids,
                        uid_field,
                        text_field(severity_text, "severity_text", repaired, repairs) if severity_text else pg.NULL,
                        text_field(event_name, "event_name", repaired, repairs) if event_name else pg.NULL,
                        _body(record.body, most_text, outermost, repairs) if record.HasField("body") else _NULLS_2,
                        attributes_head,
                        text,
                        repaired_field(repaired) if repaired else pg.NULL,
                    )
                )  # fmt: skip
                count += 1
    group.counts[TABLE] += count
    group.add_losses(Signal.LOGS, tenant_id, repairs, out_of_range)
    return RejectedItems()


def _id(raw: bytes, size: int, zeros: bytes, name: str, repaired: dict[str, bytes], repairs: Repairs) -> bytes:
    """An optional id. An invalid one is stored as NULL; its bytes are kept as hex in ``repaired``."""
    if not raw:
        return pg.NULL
    if len(raw) == size and raw != zeros:
        return pg.text(raw)
    repaired[name] = b'"%s"' % raw.hex().encode()
    repairs[f"invalid_{name}"] += 1
    return pg.NULL


def _uid(raws: Any, caches: Caches) -> bytes:
    """The attribute log.record.uid as 16 bytes: 32 hex digits are decoded, other text is hashed, empty is NULL."""
    # otel_setup writes it as the first or last attribute, always in the same form.
    match = _SDK_UID(raws[-1]) or _SDK_UID(raws[0])
    if match:
        return pg.text(bytes.fromhex(match[1].decode()))
    text = b""
    for raw in raws:
        key, entry = caches.attributes.get(raw) or caches.attributes.miss(raw, Repairs())
        if key == UID_KEY:
            text = entry[len(key) + 1 :]
    if text in _NO_UIDS:
        return pg.NULL
    if _HEX_UID(text):
        return pg.text(bytes.fromhex(text[1:-1].decode()))
    return pg.text(hashlib.sha256(text).digest()[:16])


def _tenants_uid(uid_field: bytes, tenant_id: int) -> bytes:
    """The uid of a tenant's record: that of another tenant's record is never the same."""
    if uid_field == pg.NULL:
        return uid_field
    return pg.text(hashlib.sha256(tenant_id.to_bytes(4) + uid_field[4:]).digest()[:16])


def _body(raw: bytes, most: int, outermost: int, repairs: Repairs) -> bytes:
    """The columns body and body_value: text for strings that PostgreSQL can store, jsonb for everything else."""
    if len(raw) > most:
        raw = cut_value(raw, most, repairs)
    if 2 <= len(raw) < 130 and raw[:1] == b"\x0a" and raw[1] == len(raw) - 2 and raw.isascii() and 0 not in raw[2:]:
        return pg.text(raw[2:]) + pg.NULL  # short ASCII text, as most bodies are
    number, wire, start, end = next(fields(raw), (0, 0, 0, 0))
    if (number, wire, end) == (1, 2, len(raw)):
        text = raw[start:end]
        if 0 not in text:
            try:
                text.decode()
            except UnicodeDecodeError:
                pass
            else:
                return pg.text(text) + pg.NULL
        return pg.text(readable(text).encode()) + pg.jsonb(any_value(raw, repairs, outermost))
    return pg.NULL + pg.jsonb(any_value(raw, repairs, outermost))
