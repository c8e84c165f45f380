"""What the application's console is told of telemetry that does not get through: little, and in our words.

Refuses to know how anything is sent.
"""

import logging
import time
from typing import Final

from otelgres.exporters.batch import Signal
from otelgres.exporters.target import Database, Target

_logger = logging.getLogger("otel_setup")
# A collector that comes and goes is told of once a minute at most.
_SECONDS_BETWEEN_WARNINGS: Final = 60.0


class OutageLog:
    """Which signals do not get through; warns when the first one fails and says when the last one works again.

    ``places`` says of each step what it does with telemetry. Called on export threads; a lost race costs one line.
    """

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places
        self._failing: set[Signal] = set()
        self._quiet_until = 0.0
        self._refusals_quiet_until = 0.0
        self._told = False

    def over(self, signal: Signal, target: Target | Database) -> None:
        """An export got through."""
        if signal in self._failing:
            self._failing.discard(signal)
            if not self._failing and self._told:
                self._told = False
                _logger.info("telemetry reaches %s again", target.endpoint)

    def report(self, signal: Signal, target: Target | Database, step: str, reason: str) -> None:
        """An export did not get through for ``reason``; ``step`` took the batch, or "" if nothing did."""
        self.warn(target, step, reason)
        self._failing.add(signal)

    def warn(self, target: Target | Database, step: str, reason: str) -> None:
        """Warns that ``target`` is not reached, unless that was said already."""
        if not self._failing and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _SECONDS_BETWEEN_WARNINGS
            self._told = True
            _logger.warning(
                "telemetry does not reach %s and is %s; the application is not affected and this is not repeated until "
                "it works again: %s",
                target.endpoint,
                self._places.get(step, "being dropped"),
                reason or "no reason given",
            )

    def refused(self, signal: Signal, target: Target | Database, items: int, reason: str) -> None:
        """Somebody answered, and that ``items`` of ``signal`` are refused for good."""
        if items and time.monotonic() >= self._refusals_quiet_until:
            self._refusals_quiet_until = time.monotonic() + _SECONDS_BETWEEN_WARNINGS
            _logger.warning(
                "%s refused %d items of %s for good, and more may follow: %s",
                target.endpoint, items, signal.value, reason or "no reason given",
            )  # fmt: skip
