"""The unit of telemetry passed between all parts: a signal and the OTLP protobuf bytes of one export request."""

from dataclasses import dataclass
from enum import StrEnum


class Signal(StrEnum):
    """The three OTLP signals; the value is the last segment of the OTLP/HTTP path (``/v1/traces``)."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Batch:
    """One export request. ``payload`` is an encoded ``Export{Trace,Metrics,Logs}ServiceRequest``, never JSON."""

    signal: Signal
    payload: bytes
