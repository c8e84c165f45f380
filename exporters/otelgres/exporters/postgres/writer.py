"""Writes batches in committed transactions. A writer has one connection and belongs to one thread.

:meth:`PostgresWriter.write` returns the outcome of each batch, after the rows, digests and roll-ups of all
accepted batches are committed.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg

from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Unavailable
from otelgres.exporters.postgres import dimension_store
from otelgres.exporters.postgres.cardinality import CardinalityLimiter
from otelgres.exporters.postgres.codec import copybinary as pg
from otelgres.exporters.postgres.codec.anyvalue import MalformedError, Repairs
from otelgres.exporters.postgres.codec.decode import COLUMNS, add_rows, check, parse, parts_of
from otelgres.exporters.postgres.codec.dimensions import Missing
from otelgres.exporters.postgres.codec.known import Known
from otelgres.exporters.postgres.codec.limits import Limits, effect_of
from otelgres.exporters.postgres.codec.rows import Bounds, Caches, Group, LossCounts, LossEntry, RejectedItems
from otelgres.exporters.postgres.copying import copy, store
from otelgres.exporters.postgres.digests import digest_days, digest_rows, request_digest
from otelgres.exporters.postgres.errors import ErrorClass, advice, classify
from otelgres.exporters.postgres.large import LargeRows
from otelgres.exporters.postgres.partitions import Partitions
from otelgres.exporters.postgres.session import connect
from otelgres.sql.queries import query

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 5
_RETRY_AFTER: Final = 1.0
# Keys that map to an overflow row while the parts of one request are decoded.
_MOST_OVERFLOW: Final = 20_000


@dataclass(frozen=True, slots=True)
class Committed:
    """Figures of one committed transaction, for metrics: rows by table, duplicates, seconds and retries."""

    rows: dict[str, int]
    requests: int
    seconds: float
    retries: int
    duplicate_requests: int
    duplicate_rows: int


# Index of a batch in the argument of write, the batch, and its digest.
_Work: TypeAlias = tuple[int, Batch, UUID]


class PostgresWriter:
    """Writes batches into one database.

    ``on_commit`` is called after every commit, ``on_failure`` with each batch that an attempt did not store; both in
    the writing thread.
    """

    def __init__(
        self,
        dsn: str,
        *,
        past_days: int = 30,
        future_days: int = 1,
        limits: Limits | None = None,
        guard: CardinalityLimiter | None = None,
        on_commit: Callable[[Committed], None] = lambda committed: None,
        on_failure: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        self._dsn = dsn
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._connection: psycopg.Connection[Any] | None = None
        self._known = Known()
        self._guard = guard or CardinalityLimiter()
        # Keys that map to the id of an overflow row until the minute ends.
        self._overflow_ids: list[tuple[dict[Any, int], Any]] = []
        self._minute = 0
        self._caches = Caches(limits)
        # Repairs of dimension rows, which are committed before the group: kept until their loss counts are committed.
        # By tenant id.
        self._pending_losses: defaultdict[int, Repairs] = defaultdict(Repairs)
        self._partitions = Partitions(past_days, future_days)
        # Why the last write failed, and what to do about it.
        self.problem = ""

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Commits the batches together; returns the outcomes in order. Never raises for data or database errors."""
        digests = [request_digest(batch) for batch in batches]
        first: dict[UUID, int] = {}
        for index, (batch, digest) in enumerate(zip(batches, digests, strict=True)):
            if batch.payload:
                first.setdefault(digest, index)
        outcomes = self._commit([(index, batches[index], digest) for digest, index in first.items()])
        for index in first.values():
            if not isinstance(outcomes.get(index), Accepted):
                self._on_failure(batches[index])
        # A repeated request within this group has the outcome of the first one.
        return [
            outcomes.get(first[digest], _unavailable()) if batch.payload else Accepted()
            for batch, digest in zip(batches, digests, strict=True)
        ]

    def check(self, batch: Batch) -> Accepted | Invalid:
        """The outcome that :meth:`write` would return for the data itself. Does not use the database."""
        try:
            rejected_items = check(batch, self._caches, self._partitions.bounds())
        except MalformedError as error:
            return Invalid(str(error))
        return Accepted(rejected_items.count, rejected_items.message())

    def probe(self) -> bool:
        """Whether the database is reachable and writable. Never raises."""
        try:
            row = self._connected().execute("SHOW transaction_read_only").fetchone()
        except psycopg.Error:
            self.close()
            return False
        return row is not None and row[0] == "off"

    def record_loss(self, effect: str, signal: str, reason: str, count: int, sample: str) -> None:
        """Adds a loss that happened outside the database to otel.losses. Raises ``psycopg.Error``."""
        losses = LossCounts()
        losses.add(LossEntry(effect, signal, reason), count, sample)
        self._store_losses(losses)

    def close(self) -> None:
        """Closes the connection; the next write opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _commit(self, work: list[_Work]) -> dict[int, Outcome]:
        """Commits ``work`` in one transaction; isolates requests that cannot be stored by halving.

        Returns the outcomes by index; a missing one means that the database is unavailable.
        """
        staged = reconnected = False
        failure: ErrorClass | None = None
        started = time.monotonic()
        for attempt in range(_ATTEMPTS):
            if not work:
                return {}
            before = self._connection
            try:
                committed, outcomes = self._transaction(work, staged=staged)
            except psycopg.Error as error:
                failure = classify(error)
                match failure:
                    case ErrorClass.DUPLICATE:
                        staged = True
                    case ErrorClass.NO_PARTITION:
                        self._partitions.forget()
                    case ErrorClass.CONFLICT:
                        pass
                    case ErrorClass.POISON:
                        return self._halve(work, error)
                    case ErrorClass.UNAVAILABLE if before is not None and before.closed and not reconnected:
                        # The connection may have been cut while idle: reconnect once before answering Unavailable.
                        reconnected = True
                    case ErrorClass.UNAVAILABLE:
                        self.problem = f"{advice(error)} ({_first_line(error)})"
                        log.warning("%s", self.problem)
                        self.close()
                        return {}
            else:
                self._on_commit(replace(committed, seconds=time.monotonic() - started, retries=attempt))
                return outcomes
        if failure is ErrorClass.DUPLICATE and len(work) > 1:
            # Another receiver is storing the same requests: a smaller group conflicts with fewer of them.
            return self._commit_halves(work)
        log.warning("a group of %d requests conflicted %d times in a row; clients must retry", len(work), _ATTEMPTS)
        return {}

    def _commit_halves(self, work: list[_Work]) -> dict[int, Outcome]:
        middle = len(work) // 2
        return self._commit(work[:middle]) | self._commit(work[middle:])

    def _halve(self, work: list[_Work], error: psycopg.Error) -> dict[int, Outcome]:
        if len(work) > 1:
            return self._commit_halves(work)
        index, batch, _ = work[0]
        losses = LossCounts()
        losses.add(LossEntry("refused", batch.signal, "not_storable"), 1, _first_line(error))
        try:
            self._store_losses(losses)
        except psycopg.Error:
            log.exception("could not record a rejected request in otel.losses")
        return {index: Invalid(f"PostgreSQL cannot store this request: {_first_line(error)}")}

    def _transaction(self, work: list[_Work], *, staged: bool) -> tuple[Committed, dict[int, Outcome]]:
        """The committed figures, and the outcome of each batch by its index. Raises ``psycopg.Error``."""
        connection = self._connected()
        stored = {
            row[0] for row in connection.execute(query("known_digests"), {"digests": [digest for _, _, digest in work]})
        }
        fresh = [item for item in work if item[2] not in stored]
        group, answers = self._rows(connection, [(index, batch) for index, batch, _ in fresh])
        days = digest_days(datetime.now(UTC))
        self._partitions.ensure(connection, {**group.days, "digests": days, "losses": days})
        accepted = [digest for index, _, digest in fresh if isinstance(answers[index], Accepted)]
        duplicates = 0
        if accepted or group.losses.counts:
            with connection.transaction(), connection.cursor() as cursor:
                duplicates = store(cursor, group, staged=staged)
                for make in group.again:
                    for part in make():
                        part.losses = LossCounts()  # those of the part itself are counted already
                        duplicates += store(cursor, part, staged=staged)
                        group.losses.add_all(part.losses)
                        group.counts += part.counts
                if group.losses.counts:
                    self._add_losses(connection, group.losses)
                copy(cursor, "digests", ("digest", "day"), digest_rows(accepted, days))
        self._pending_losses.clear()
        outcomes: dict[int, Outcome] = {
            index: self._duplicate(batch) if digest in stored else answers[index] for index, batch, digest in work
        }
        self._trim()
        stored_rows = {table: group.counts[table] for table in COLUMNS}
        return Committed(stored_rows, len(work), 0.0, 0, len(stored), duplicates), outcomes

    def _duplicate(self, batch: Batch) -> Accepted:
        """The outcome of a request that is stored already: the same items are rejected for the same reasons."""
        outcome = self.check(batch)
        return outcome if isinstance(outcome, Accepted) else Accepted()

    def _rows(
        self, connection: psycopg.Connection[Any], work: list[tuple[int, Batch]]
    ) -> tuple[Group, dict[int, Outcome]]:
        """The rows of the batches, and the outcome of each after the commit."""
        group = Group(self._partitions.bounds())
        if self._overflow_ids and self._guard.minute != self._minute:
            self._forget_overflow()
        self._minute = self._guard.minute
        answers: dict[int, Outcome] = {}
        parsed: list[tuple[int, Batch, Any]] = []
        large: list[tuple[int, Batch]] = []
        missing = Missing(limits=self._caches.limits)
        for index, batch in work:
            try:
                part = next(parts_of(batch, self._caches.limits))
                if part is batch:
                    parsed.append((index, batch, parse(batch, self._known, missing)))
                else:
                    large.append((index, batch))
            except MalformedError as error:
                answers[index] = _malformed(batch, error, group)
        self._resolve(connection, missing, group)
        for index, batch, request in parsed:
            try:
                rejected_items = add_rows(batch, request, self._known, self._caches, group)
                answers[index] = Accepted(rejected_items.count, rejected_items.message())
            except MalformedError as error:
                answers[index] = _malformed(batch, error, group)
        self._fill_series(connection, group)
        self._known.forget_large(missing.resources, missing.scopes, missing.metrics, group.new_series)
        parsed.clear()
        for index, batch in large:
            try:
                rejected_items = self._add_large(connection, batch, group)
                answers[index] = Accepted(rejected_items.count, rejected_items.message())
            except MalformedError as error:
                answers[index] = _malformed(batch, error, group)
        for tenant_id, repairs in self._pending_losses.items():
            for reason, count in repairs.items():
                group.losses.add(LossEntry(effect_of(reason), "dimensions", reason, tenant_id), count)
        return group, answers

    def _add_large(self, connection: psycopg.Connection[Any], batch: Batch, group: Group) -> RejectedItems:
        """Adds the rows of a batch that is decoded in parts, all or none. Raises :class:`MalformedError`."""
        rows = LargeRows(batch, group)
        for part in self._parts(connection, batch, group.bounds):
            rows.add(*part)
        return rows.finish(lambda: (added for added, _ in self._parts(connection, batch, group.bounds)))

    def _parts(
        self, connection: psycopg.Connection[Any], batch: Batch, bounds: Bounds
    ) -> Iterator[tuple[Group, RejectedItems]]:
        for part in parts_of(batch, self._caches.limits):
            yield self._part(connection, part, bounds)
            # Between parts every id is in its row.
            self._trim()

    def _part(self, connection: psycopg.Connection[Any], part: Batch, bounds: Bounds) -> tuple[Group, RejectedItems]:
        """The rows of a part of a large batch."""
        added = Group(bounds)
        missing = Missing(limits=self._caches.limits)
        request = parse(part, self._known, missing)
        self._resolve(connection, missing, added)
        rejected_items = add_rows(part, request, self._known, self._caches, added)
        self._fill_series(connection, added)
        self._known.forget_large(missing.resources, missing.scopes, missing.metrics, added.new_series)
        return added, rejected_items

    def _trim(self) -> None:
        if self._known.trim() or len(self._overflow_ids) > _MOST_OVERFLOW:
            self._forget_overflow()

    def _forget_overflow(self) -> None:
        for ids, key in self._overflow_ids:
            ids.pop(key, None)
        self._overflow_ids.clear()

    def _overflowed(self, beyond: dimension_store.Overflowed, group: Group) -> None:
        for tenant_id, keys in beyond.keys.items():
            self._overflow_ids += [(beyond.ids, key) for key in keys]
            group.losses.add(LossEntry("repaired", "dimensions", beyond.reason, tenant_id), len(keys))

    def _resolve(self, connection: psycopg.Connection[Any], missing: Missing, group: Group) -> None:
        if missing:
            for beyond in dimension_store.resolve(connection, missing, self._known, self._guard):
                self._overflowed(beyond, group)
            for tenant, repairs in missing.repairs.items():
                self._pending_losses[self._known.tenant_ids.get(tenant, 0)] += repairs

    def _fill_series(self, connection: psycopg.Connection[Any], group: Group) -> None:
        if not group.pending:
            return
        self._overflowed(dimension_store.resolve_series(connection, group.new_series, self._known, self._guard), group)
        for table, index, key in group.pending:
            group.parts[table][index] = pg.int8(self._known.series[key])
        for tenant_id, repairs in group.series_repairs.items():
            self._pending_losses[tenant_id] += repairs

    def _store_losses(self, losses: LossCounts) -> None:
        connection = self._connected()
        self._partitions.ensure(connection, {"losses": digest_days(datetime.now(UTC))})
        self._add_losses(connection, losses)

    def _add_losses(self, connection: psycopg.Connection[Any], losses: LossCounts) -> None:
        entries = list(losses.counts)
        connection.execute(
            query("add_losses"),
            {
                "count": [losses.counts[entry] for entry in entries],
                "effect": [entry.effect for entry in entries],
                "source": ["rows"] * len(entries),
                "signal": [entry.signal for entry in entries],
                "reason": [entry.reason for entry in entries],
                "detail": [None] * len(entries),
                "sample": [losses.samples[entry] or None for entry in entries],
                "tenant_id": [entry.tenant_id for entry in entries],
                "tenant": [None] * len(entries),
            },
        )

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        self._connection = None
        connection = connect(self._dsn)
        # This may be another database, a restored one, or a replica that lagged: cached ids may be wrong there.
        self._known.forget()
        self._partitions.forget()
        self._connection = connection
        return connection


def _malformed(batch: Batch, error: MalformedError, group: Group) -> Invalid:
    group.losses.add(LossEntry("refused", batch.signal, "malformed_request"), 1, str(error))
    return Invalid(str(error))


def _unavailable() -> Unavailable:
    return Unavailable(_RETRY_AFTER, "the database is unavailable; retry")


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
