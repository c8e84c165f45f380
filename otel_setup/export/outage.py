"""Logs failing exports for the application: one warning per outage, at most one per minute."""

import logging
import time
from typing import Final

from otelgres.exporters.batch import Signal
from otelgres.exporters.target import Database, Target

_logger = logging.getLogger("otel_setup")
# For a collector that fails and recovers repeatedly.
_SECONDS_BETWEEN_WARNINGS: Final = 60.0


class OutageLog:
    """Tracks which signals fail; warns when the first one fails and logs when the last one works again.

    ``fallback_texts`` maps a fallback step to what it does with telemetry ("printed to stderr"). Called on export
    threads without a lock: a lost race costs one line.
    """

    def __init__(self, fallback_texts: dict[str, str]) -> None:
        self._fallback_texts = fallback_texts
        self._failing: set[Signal] = set()
        self._quiet_until = 0.0
        self._rejections_quiet_until = 0.0
        self._warned = False

    def recovered(self, signal: Signal, target: Target | Database) -> None:
        """An export of ``signal`` succeeded."""
        if signal in self._failing:
            self._failing.discard(signal)
            if not self._failing and self._warned:
                self._warned = False
                _logger.info("telemetry is exported to %s again", target.endpoint)

    def report(self, signal: Signal, target: Target | Database, step: str, reason: str) -> None:
        """An export failed for ``reason``; ``step`` accepted the batch, or "" if none did."""
        self.warn(target, step, reason)
        self._failing.add(signal)

    def warn(self, target: Target | Database, step: str, reason: str) -> None:
        """Warns that exports to ``target`` fail, unless this was logged already."""
        if not self._failing and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _SECONDS_BETWEEN_WARNINGS
            self._warned = True
            _logger.warning(
                "cannot export telemetry to %s; it is %s. The application is not affected. "
                "This warning is not repeated until the export works again: %s",
                target.endpoint,
                self._fallback_texts.get(step, "dropped"),
                reason or "no reason given",
            )

    def rejected(self, signal: Signal, target: Target | Database, items: int, reason: str) -> None:
        """``target`` rejected ``items`` of ``signal`` permanently."""
        if items and time.monotonic() >= self._rejections_quiet_until:
            self._rejections_quiet_until = time.monotonic() + _SECONDS_BETWEEN_WARNINGS
            _logger.warning(
                "%s rejected %d items of %s permanently: %s",
                target.endpoint, items, signal.value, reason or "no reason given",
            )  # fmt: skip
