"""The unit of telemetry passed between all parts: a signal and the OTLP protobuf bytes of one export request."""

from dataclasses import dataclass, field
from enum import StrEnum


class Signal(StrEnum):
    """The three OTLP signals; the value is the last segment of the OTLP/HTTP path (``/v1/traces``)."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Batch:
    """One export request. ``payload`` is an encoded ``Export{Trace,Metrics,Logs}ServiceRequest``, never JSON.

    ``parts`` is the number of its groups and items if it has been counted and is within the bounds: see ``outline``.
    """

    signal: Signal
    payload: bytes
    parts: int | None = field(default=None, compare=False, repr=False)
