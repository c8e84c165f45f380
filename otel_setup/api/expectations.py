"""Which checkpoints a flow of a name is expected to pass, told by the application that knows.

Told as an event that ``otel.expected_checkpoints`` reads, and again by long-lived processes while they use the name, so
that it outlives retention. Refuses to know what a flow does.
"""

import enum
import time
from collections.abc import Mapping, Sequence
from typing import Final

from otel_setup.api.events import record_event
from otel_setup.api.values import text

EVENT: Final = "otelgres.integration"
# otel.expected_checkpoints looks eight days back.
_AGAIN_SECONDS: Final = 12 * 3600.0


class _Expectation:
    def __init__(self, name: str, checkpoints: list[str], causes: dict[str, str]) -> None:
        self._name, self._checkpoints, self._causes = name, checkpoints, causes
        self.due = 0.0

    def declare(self) -> None:
        self.due = time.monotonic() + _AGAIN_SECONDS
        record_event(
            EVENT,
            {
                "event_type": "expected_checkpoints",
                "otelgres.flow.name": self._name,
                "otelgres.expected.checkpoints": self._checkpoints,
            },
            body=self._causes,
        )


_told: dict[str, _Expectation] = {}


def expected_checkpoints(
    flow_name: str, checkpoints: Sequence[str | enum.Enum], causes: Mapping[str, str] | None = None
) -> None:
    """Says which checkpoints flows called ``flow_name`` pass, in their order; after ``configure_telemetry``.

    ``causes``: checkpoint to what it most likely means if it is missing. ``otel.incomplete_flows`` shows the flows that
    lack one. What the application says comes before what stands in ``otel.flow_expectations``. Never raises.
    """
    named = [text(one.value if isinstance(one, enum.Enum) else one) for one in checkpoints]
    expectation = _Expectation(text(flow_name), named, {text(key): text(why) for key, why in (causes or {}).items()})
    _told[text(flow_name)] = expectation
    expectation.declare()


def remind(flow_name: str) -> None:
    """A flow of this name is at work: what it is expected to pass is told again, if that was long ago."""
    expectation = _told.get(flow_name)
    if expectation is not None and time.monotonic() > expectation.due:
        expectation.declare()
