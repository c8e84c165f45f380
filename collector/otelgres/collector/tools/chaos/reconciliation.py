"""Compares the senders' ledger with the public views at the end of a run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import psycopg

from otelgres.collector.tools.chaos.items import NUMBER_KEY, ItemKind
from otelgres.collector.tools.chaos.ledger import SentLedger

_STORED: Final = {
    ItemKind.SPAN: "SELECT attributes ->> %(key)s, count(*) FROM otel.spans GROUP BY 1",
    ItemKind.LOG: "SELECT attributes ->> %(key)s, count(*) FROM otel.logs "
    "WHERE attributes ? 'log.record.uid' GROUP BY 1",
    ItemKind.LOG_WITHOUT_UID: "SELECT attributes ->> %(key)s, count(*) FROM otel.logs "
    "WHERE NOT attributes ? 'log.record.uid' GROUP BY 1",
    ItemKind.POINT: "SELECT coalesce(value_int, sum::bigint), count(*) FROM otel.metric_points GROUP BY 1",
}
_ROLLUPS: Final = """
SELECT (SELECT count(*) FROM otel.spans) AS spans,
       (SELECT coalesce(sum(span_count), 0) FROM otel.flows) AS in_flows,
       (SELECT coalesce(sum(count), 0) FROM otel.span_stats) AS in_span_stats,
       (SELECT count(*) FROM (SELECT trace_id, count(*) AS spans FROM otel.spans GROUP BY 1) s
            FULL JOIN otel.flows f USING (trace_id) WHERE s.spans IS DISTINCT FROM f.span_count) AS wrong_flows
"""
_LOSSES: Final = "SELECT concat_ws(' ', effect, source, signal, reason), sum(count) FROM _otel.losses GROUP BY 1"
_COUNTED: Final = """
SELECT coalesce(sum(count), 0) FROM _otel.losses WHERE effect = 'dropped' AND reason = 'spool_damaged'
"""
_EXAMPLES: Final = 10


@dataclass(frozen=True, slots=True)
class Line:
    """The result for one kind of item; ``examples`` are numbers of wrong items.

    ``damaged`` items were acknowledged and then destroyed on the spool's disk, which is not a fault of the receiver.
    """

    sent: int
    acked: int
    stored: int
    damaged: int
    lost: int
    duplicated: int
    rejected: int
    not_sent: int
    examples: tuple[int, ...] = ()

    @property
    def right(self) -> bool:
        """Whether all acknowledged items are stored once or destroyed, and none is wrongly rejected or added."""
        return not (self.lost or self.duplicated or self.rejected or self.not_sent)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The result for all kinds, with roll-ups and losses."""

    lines: dict[ItemKind, Line]
    rollups: dict[str, int]
    damaged_batches: int = 0
    """Batches that were destroyed on the spool's disk."""
    counted_batches: int = 0
    """Batches that the receiver's ledger has as lost by damage. A kill at the wrong moment makes it repeat an entry."""
    losses: dict[str, int] = field(default_factory=dict)
    """The receiver's recorded losses by effect, source, signal and reason."""

    @property
    def right(self) -> bool:
        """Whether everything is right and at least one item was acknowledged."""
        spans = self.rollups["spans"]
        agree = self.rollups["in_flows"] == self.rollups["in_span_stats"] == spans and not self.rollups["wrong_flows"]
        counted = self.counted_batches >= self.damaged_batches
        return counted and agree and all(line.right and line.stored for line in self.lines.values())

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        lines = {kind.value: asdict(line) for kind, line in self.lines.items()}
        damage = {"damaged_batches": self.damaged_batches, "counted_batches": self.counted_batches}
        return {"right": self.right, "items": lines, "rollups": self.rollups, "losses": self.losses, **damage}


def reconcile(ledger: SentLedger, dsn: str) -> Reconciliation:
    """Compares ``ledger`` with the database at ``dsn``. Raises ``psycopg.Error``."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        lines = {kind: _line(ledger, kind, _stored(connection, kind)) for kind in ItemKind}
        with connection.cursor() as cursor:
            values = cursor.execute(_ROLLUPS).fetchone()
            assert values is not None
            assert cursor.description is not None
            rollups = {column.name: int(value) for column, value in zip(cursor.description, values, strict=True)}
        losses = {str(name): int(count) for name, count in connection.execute(_LOSSES).fetchall()}
        (counted,) = connection.execute(_COUNTED).fetchone() or (0,)
    return Reconciliation(lines, rollups, ledger.damaged_batches, int(counted), losses)


def _stored(connection: psycopg.Connection[Any], kind: ItemKind) -> dict[int, int]:
    rows = connection.execute(_STORED[kind], {"key": NUMBER_KEY}).fetchall()
    # Items without a number were not sent by us and must be reported.
    return {-1 if number is None else int(number): int(count) for number, count in rows}


def _line(ledger: SentLedger, kind: ItemKind, stored: Mapping[int, int]) -> Line:
    sent = ledger.sent_count(kind)
    acked = ledger.acked_numbers(kind)
    rejected = ledger.rejected_numbers(kind)
    gone = [number for number in acked if number not in stored]
    destroyed = ledger.damaged_numbers(kind)
    lost = [number for number in gone if number not in destroyed]
    duplicated = [number for number, count in stored.items() if count > 1]
    not_sent = [number for number in stored if not 0 <= number < sent]
    return Line(
        sent=sent,
        acked=len(acked),
        stored=len(stored),
        damaged=len(gone) - len(lost),
        lost=len(lost),
        duplicated=sum(stored[number] - 1 for number in duplicated),
        rejected=len(rejected),
        not_sent=len(not_sent),
        examples=tuple(sorted([*lost, *duplicated, *not_sent])[:_EXAMPLES]),
    )
