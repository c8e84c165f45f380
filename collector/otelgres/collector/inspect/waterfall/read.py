"""What is known of one flow, read through the public views. Refuses to know how it is drawn."""

import uuid
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import dict_row

from otelgres.sql.queries import query

Row: TypeAlias = dict[str, Any]
# Nobody reads more in a terminal, and a flow may have a million spans.
MOST: Final = 2000


@dataclass(frozen=True)
class FlowPicture:
    """A flow's summary (None: only starts or logs are there), its spans in tree order, its logs, and what is open."""

    flow_id: uuid.UUID
    summary: Row | None
    spans: list[Row]
    logs: list[Row]
    open: list[Row]
    missing: Row | None


def flow_id_of(text: str) -> uuid.UUID | None:
    """A flow id from what a person has at hand: a uuid, or a trace id of 32 hex digits; None if it is neither."""
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None


def absent_parent(flow: uuid.UUID) -> str:
    """The parent, which no span is, that otel_setup gives to checkpoints of a flow that is not in their process."""
    return blake2b(flow.bytes, digest_size=8, person=b"otelgres").hexdigest()


def read(connection: psycopg.Connection, flow: uuid.UUID | None) -> FlowPicture | None:
    """Everything about ``flow``, or about the latest one for None; None if there is nothing. Raises psycopg.Error."""
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
