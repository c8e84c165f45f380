"""Reads one flow from the public views."""

import uuid
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import dict_row

from otelgres.sql.queries import query

Row: TypeAlias = dict[str, Any]
# A limit for terminals; a flow may have a million spans.
MOST: Final = 2000


@dataclass(frozen=True)
class FlowPicture:
    """A flow's summary (None if only starts or logs exist), spans in tree order, logs, and open spans."""

    flow_id: uuid.UUID
    summary: Row | None
    spans: list[Row]
    logs: list[Row]
    open: list[Row]
    missing: Row | None


def flow_id_of(text: str) -> uuid.UUID | None:
    """The flow id for a uuid or a trace id of 32 hex digits; None for other text."""
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None


def absent_parent(flow: uuid.UUID) -> str:
    """The parent span id that otel_setup uses for checkpoints of a flow from another process; no span has it."""
    return blake2b(flow.bytes, digest_size=8, person=b"otelgres").hexdigest()


def read(connection: psycopg.Connection, flow: uuid.UUID | None) -> FlowPicture | None:
    """Reads ``flow``, or the latest one for None. Returns None if there is no such flow. Raises psycopg.Error."""
    with connection.cursor(row_factory=dict_row) as cursor:

        def ask(name: str) -> list[Row]:
            return cursor.execute(query(name), {"flow": flow, "most": MOST}).fetchall()

        if flow is None:
            latest = ask("flow_latest")
            if not latest:
                return None
            flow = latest[0]["flow_id"]
        summary = ask("flow_summary")
        picture = FlowPicture(
            flow_id=flow,
            summary=summary[0] if summary else None,
            spans=ask("flow_spans"),
            logs=ask("flow_logs"),
            open=ask("flow_open"),
            missing=next(iter(ask("flow_missing")), None),
        )
    return picture if summary or picture.logs or picture.open else None
