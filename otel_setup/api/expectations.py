"""Declares which checkpoints the flows of a name are expected to pass.

The declaration is an event that ``otel.expected_checkpoints`` reads. Long-lived processes repeat it while they run such
flows, so that it outlives retention.
"""

import enum
import time
from collections.abc import Mapping, Sequence
from typing import Final

from otel_setup.api.events import record_event
from otel_setup.api.values import text

EVENT: Final = "otelgres.integration"
# Well below the eight days that otel.expected_checkpoints reads.
_REPEAT_SECONDS: Final = 12 * 3600.0


class _Expectation:
    def __init__(self, name: str, checkpoints: list[str], causes: dict[str, str]) -> None:
        self._name, self._checkpoints, self._causes = name, checkpoints, causes
        self.due = 0.0

    def declare(self) -> None:
        self.due = time.monotonic() + _REPEAT_SECONDS
        record_event(
            EVENT,
            {
                "event_type": "expected_checkpoints",
                "otelgres.flow.name": self._name,
                "otelgres.expected.checkpoints": self._checkpoints,
            },
            body=self._causes,
        )


_declared: dict[str, _Expectation] = {}


def expected_checkpoints(
    flow_name: str, checkpoints: Sequence[str | enum.Enum], causes: Mapping[str, str] | None = None
) -> None:
    """Declares the checkpoints that flows called ``flow_name`` pass, in order. Call it after ``configure_telemetry``.

    ``causes`` maps a checkpoint to the likely cause if it is missing. ``otel.incomplete_flows`` lists flows that lack
    one. This declaration takes precedence over ``otel.flow_expectations``. Never raises.
    """
    named = [text(one.value if isinstance(one, enum.Enum) else one) for one in checkpoints]
    expectation = _Expectation(text(flow_name), named, {text(key): text(why) for key, why in (causes or {}).items()})
    _declared[text(flow_name)] = expectation
    expectation.declare()


def repeat_declaration(flow_name: str) -> None:
    """Repeats the declaration for ``flow_name`` if the last one is old."""
    expectation = _declared.get(flow_name)
    if expectation is not None and time.monotonic() > expectation.due:
        expectation.declare()
