"""The state of alert notifications, kept in a file across restarts.

A notification is due when an alert has fired for the time ``hold`` of its rule, again every REPEAT_INTERVAL while it
fires, and once when it has ended. A notification that could not be delivered remains due.
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
    """An alert that fires, or has ended and is not yet notified as ended. Times are ISO 8601."""

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
        """A stable identifier: a hash of rule and subject."""
        return hashlib.sha256(f"{self.rule}\0{self.subject}".encode()).hexdigest()[:16]


Row: TypeAlias = dict[str, Any]


class AlertState:
    """The active alerts. ``file`` stores them; with None they are in memory only."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._active: dict[str, ActiveAlert] = {}
        if file is not None:
            # An unreadable file only causes repeated notifications.
            with contextlib.suppress(OSError, orjson.JSONDecodeError, TypeError):
                self._active = {
                    alert.key: alert for alert in (ActiveAlert(**one) for one in orjson.loads(file.read_bytes()))
                }

    @property
    def active(self) -> Sequence[ActiveAlert]:
        """The alerts that fire or whose end is not yet notified."""
        return list(self._active.values())

    def update(self, rows: Iterable[Row], now: datetime) -> list[ActiveAlert]:
        """Takes the rows of ``otel.alerts()`` and returns the alerts whose notification is due."""
        due: list[ActiveAlert] = []
        firing: set[str] = set()
        for row in rows:
            if not row["firing"]:
                continue
            alert = _alert(row, now)
            known = self._active.get(alert.key)
            if known is not None and known.ended is None:
                alert = replace(alert, since=known.since, notified=known.notified)
            self._active[alert.key] = alert
            firing.add(alert.key)
            since = alert.notified or alert.since
            if now - _time(since) >= (REPEAT_INTERVAL if alert.notified else row["hold"]):
                due.append(alert)
        for key, alert in list(self._active.items()):
            if key in firing:
                continue
            if alert.notified is None:
                del self._active[key]
            else:
                self._active[key] = ended = alert if alert.ended else replace(alert, ended=now.isoformat())
                due.append(ended)
        self._save()
        return due

    def mark_notified(self, notified: Iterable[ActiveAlert], now: datetime) -> None:
        """Records that these notifications were delivered."""
        for alert in notified:
            if alert.ended:
                self._active.pop(alert.key, None)
            elif alert.key in self._active:
                self._active[alert.key] = replace(self._active[alert.key], notified=now.isoformat())
        self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=f".{self._file.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps([asdict(alert) for alert in self._active.values()]))
        Path(name).replace(self._file)


def _alert(row: Row, now: datetime) -> ActiveAlert:
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
