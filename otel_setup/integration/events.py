"""Events between systems: checkpoints with a flow id, heartbeats, subscriptions.

A checkpoint is a span of its flow (the event has the flow's id); heartbeats and subscriptions are log records. The
relations ``integration_events`` and ``pattern_flow_analysis`` of schema ``compat`` show them. No call raises or waits.
"""

import enum
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_setup.api.early_flush import flush_soon
from otel_setup.api.events import record_event
from otel_setup.api.flows import checkpoint as record_checkpoint
from otel_setup.api.ids import parse_flow_id

_log = logging.getLogger("otel_setup")

HEARTBEAT: Final = "otelgres.heartbeat"
SUBSCRIPTION: Final = "otelgres.subscription"
_FLOW_KEYS: Final = ("flow_id", "flowId", "flow.id", "correlation_id")
_SECTIONS: Final = ("data", "payload", "event", "metadata", "headers")


class IntegrationEventType(enum.StrEnum):
    """Common event types; any other text is accepted too."""

    PATTERN_DETECTED = "pattern_detected"
    HEARTBEAT = "heartbeat"
    SUBSCRIPTION_ACTIVE = "subscription_active"
    SUBSCRIPTION_CONFIRMED = "subscription_confirmed"


class IntegrationCheckpoint(enum.StrEnum):
    """Common checkpoints; any other text or enum is accepted too."""

    PATTERN_PUBLISHED = "PATTERN_PUBLISHED"
    EVENT_RECEIVED = "EVENT_RECEIVED"
    EVENT_PARSED = "EVENT_PARSED"
    WEBSOCKET_DELIVERED = "WEBSOCKET_DELIVERED"
    SUBSCRIBER_ALIVE = "SUBSCRIBER_ALIVE"
    CHANNEL_SUBSCRIBED = "CHANNEL_SUBSCRIBED"


def flow_id_of(event: object) -> uuid.UUID | None:
    """The flow id of an event: at its top level, or in one of its usual sections; None if it has none."""
    if not isinstance(event, Mapping):
        return None
    for section in (event, *(event.get(name) for name in _SECTIONS)):
        if isinstance(section, Mapping):
            for key in _FLOW_KEYS:
                found = parse_flow_id(section.get(key))
                if found is not None:
                    return found
    return None


class DatabaseIntegrationLogger:
    """Records the events of one system, named ``source_system``. Thread-safe.

    ``early_flush`` exports checkpoints within milliseconds instead of 200 ms. Turn it off for hundreds per second.
    """

    def __init__(self, source_system: str, *, early_flush: bool = True) -> None:
        self.source_system = source_system
        self._early_flush = early_flush

    def log_checkpoint(
        self,
        checkpoint: str | enum.Enum,
        flow_id: uuid.UUID | str | None = None,
        *,
        event: Mapping[str, Any] | None = None,
        event_type: str | enum.Enum = IntegrationEventType.PATTERN_DETECTED,
        channel: str | None = None,
        symbol: str | None = None,
        pattern_name: str | None = None,
        confidence: float | None = None,
        user_count: int | None = None,
        latency_ms: float | None = None,
        details: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Records a checkpoint of an event in flow ``flow_id`` (None: that of ``event``, else the current one).

        ``symbol``, ``pattern_name`` and ``confidence`` default to those of ``event``. Never raises.
        """
        try:
            given = {"channel": channel, "symbol": symbol, "pattern_name": pattern_name, "confidence": confidence,
                     "user_count": user_count, "latency_ms": latency_ms, "details": details}  # fmt: skip
            found = _event_fields(event)
            attributes = {key: value for key, value in (found | more).items() if value is not None}
            attributes |= {key: value for key, value in given.items() if value is not None}
            attributes |= {"source_system": self.source_system, "event_type": _text(event_type)}
            record_checkpoint(checkpoint, flow_id=flow_id or flow_id_of(event), **attributes)
            if self._early_flush:
                flush_soon()
        except Exception:  # noqa: BLE001 (telemetry must not break the application)
            _log.debug("a checkpoint was not recorded", exc_info=True)

    def log_heartbeat(self, stats: Mapping[str, Any] | None = None, *, interval: float = 60.0, **more: Any) -> None:
        """Records that the system is alive, with its ``stats``; the next heartbeat is due in ``interval`` seconds."""
        record_event(
            HEARTBEAT,
            {"source_system": self.source_system, "event_type": "heartbeat", "otelgres.heartbeat.interval": interval,
             "checkpoint": IntegrationCheckpoint.SUBSCRIBER_ALIVE.value, **more},
            body=dict(stats or {}),
        )  # fmt: skip

    def log_subscription(self, channel: str, *, confirmed: bool = False, **more: Any) -> None:
        """Records a subscription to ``channel``; ``confirmed``: the broker has confirmed it."""
        kind = IntegrationEventType.SUBSCRIPTION_CONFIRMED if confirmed else IntegrationEventType.SUBSCRIPTION_ACTIVE
        record_event(
            SUBSCRIPTION,
            {"source_system": self.source_system, "event_type": kind.value, "channel": channel,
             "checkpoint": IntegrationCheckpoint.CHANNEL_SUBSCRIBED.value, **more},
        )  # fmt: skip


class Heartbeat:
    """Records a heartbeat at the start and every ``seconds``, with the result of ``stats``, on a daemon thread.

    A context manager; in a forked child it does nothing.
    """

    def __init__(
        self, logger: DatabaseIntegrationLogger, stats: Callable[[], Mapping[str, Any]] = dict, seconds: float = 60.0
    ) -> None:
        self._logger = logger
        self._stats = stats
        self._seconds = seconds
        self._began = time.monotonic()
        self._stopped = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="otelgres-heartbeat", daemon=True)

    def start(self) -> "Heartbeat":
        """Starts the thread; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops the thread; waits up to one second."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def __enter__(self) -> "Heartbeat":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopped.is_set() and os.getpid() == self._pid:
            try:
                stats = {"uptime_seconds": round(time.monotonic() - self._began, 3), **self._stats()}
                self._logger.log_heartbeat(stats, interval=self._seconds)
            except Exception:  # noqa: BLE001 (an error of stats() must not end the heartbeats)
                _log.debug("a heartbeat was not recorded", exc_info=True)
            self._stopped.wait(self._seconds)


def _event_fields(event: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section in (event, *((event or {}).get(name) for name in _SECTIONS)):
        if isinstance(section, Mapping):
            for field, names in (
                ("symbol", ("symbol",)),
                ("pattern_name", ("pattern_name", "pattern")),
                ("confidence", ("confidence",)),
            ):
                value = next((section[name] for name in names if name in section), None)
                if value is not None and not isinstance(value, Mapping):
                    found.setdefault(field, value)
    return found


def _text(value: str | enum.Enum) -> str:
    return str(value.value if isinstance(value, enum.Enum) else value)
