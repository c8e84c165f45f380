"""Who has been told of what: alerts that hold, that were told, that ended, kept in a file over restarts.

An alert is told of when it has held for as long as its rule says, again when it still holds hours later, and once more
when it has ended. What could not be delivered stays to be told. Refuses to know how it is delivered.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

REPEAT_INTERVAL: Final = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that fires, or fired until a moment ago. Times are ISO 8601."""

    rule: str
    subject: str
    severity: str
    value: float | None
    threshold: float | None
    summary: str
    runbook: str
    since: str
    notified: str | None = None
    ended: str | None = None

    @property
    def key(self) -> str:
        """The same for the same rule and subject, everywhere and always."""
        return hashlib.sha256(f"{self.rule}\0{self.subject}".encode()).hexdigest()[:16]


Row: TypeAlias = dict[str, Any]


class AlertState:
    """What is held now. ``file`` is where it survives; None keeps it in memory."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._held: dict[str, ActiveAlert] = {}
        if file is not None:
            # A file that cannot be read costs a second telling, no more.
            with contextlib.suppress(OSError, orjson.JSONDecodeError, TypeError):
                self._held = {
                    held.key: held for held in (ActiveAlert(**one) for one in orjson.loads(file.read_bytes()))
                }

    @property
    def held(self) -> Sequence[ActiveAlert]:
        """Everything that fires or has to be told as ended."""
        return list(self._held.values())

    def update(self, rows: Iterable[Row], now: datetime) -> list[ActiveAlert]:
        """Takes the rows of ``otel.alerts()``; what somebody has to be told of now."""
        due: list[ActiveAlert] = []
        firing: set[str] = set()
        for row in rows:
            if not row["firing"]:
                continue
            held = _held(row, now)
            known = self._held.get(held.key)
            if known is not None and known.ended is None:
                held = replace(held, since=known.since, notified=known.notified)
            self._held[held.key] = held
            firing.add(held.key)
            since = held.notified or held.since
            if now - _time(since) >= (REPEAT_INTERVAL if held.notified else row["hold"]):
                due.append(held)
        for key, held in list(self._held.items()):
            if key in firing:
                continue
            if held.notified is None:
                del self._held[key]
            else:
                self._held[key] = ended = held if held.ended else replace(held, ended=now.isoformat())
                due.append(ended)
        self._save()
        return due

    def mark_notified(self, told: Iterable[ActiveAlert], now: datetime) -> None:
        """These have reached somebody."""
        for held in told:
            if held.ended:
                self._held.pop(held.key, None)
            elif held.key in self._held:
                self._held[held.key] = replace(self._held[held.key], notified=now.isoformat())
        self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=f".{self._file.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps([asdict(held) for held in self._held.values()]))
        Path(name).replace(self._file)


def _held(row: Row, now: datetime) -> ActiveAlert:
    return ActiveAlert(
        rule=row["rule"],
        subject=row["subject"],
        severity=row["severity"],
        value=row["value"],
        threshold=row["threshold"],
        summary=row["summary"],
        runbook=row["runbook"],
        since=now.isoformat(),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
