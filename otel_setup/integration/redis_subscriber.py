"""A Redis subscriber that records its subscriptions, confirmations, events and heartbeats.

Needs redis-py (``pip install 'otelgres[redis]'``). Reconnects automatically.
"""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from otel_setup.integration.events import DatabaseIntegrationLogger, Heartbeat, IntegrationCheckpoint, flow_id_of
from otelgres.exporters.extras import advice

try:
    import redis
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(advice(error) or str(error), name=error.name) from error

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.2
_RECONNECT_SECONDS = 1.0


class RedisEventSubscriber:
    """Calls ``handle`` with each JSON object published on ``channels``, on one thread, until ``stop``.

    ``handle`` returns the number of users it was delivered to, or None if it was not. Its exceptions are counted and
    logged.
    """

    def __init__(
        self,
        client: "redis.Redis",
        channels: Sequence[str],
        handle: Callable[[dict[str, Any]], int | None],
        logger: DatabaseIntegrationLogger,
        *,
        heartbeat_seconds: float = 60.0,
    ) -> None:
        self._client = client
        self._channels = list(channels)
        self._handle = handle
        self._logger = logger
        self._counts: Counter[str] = Counter()
        self._last_event: float | None = None
        self._stopped = threading.Event()
        self._heartbeat = Heartbeat(logger, self.stats, heartbeat_seconds)
        self._thread = threading.Thread(target=self._run, name="redis-events", daemon=True)
        self.subscribed = threading.Event()

    def start(self) -> "RedisEventSubscriber":
        """Starts the threads; returns itself."""
        self._heartbeat.start()
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops after the event in progress; waits up to five seconds."""
        self._stopped.set()
        self._thread.join(5.0)
        self._heartbeat.stop()

    def stats(self) -> dict[str, Any]:
        """The counters and times that heartbeats report."""
        return {
            "subscribed_channels": list(self._channels),
            "events_received": self._counts["received"],
            "events_processed": self._counts["processed"],
            "events_forwarded": self._counts["forwarded"],
            "connection_errors": self._counts["connection_errors"],
            "last_event_time": self._last_event,
        }

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except redis.ConnectionError as error:
                self._counts["connection_errors"] += 1
                self.subscribed.clear()
                _log.warning("lost the connection to Redis (%s); reconnecting", error)
                self._stopped.wait(_RECONNECT_SECONDS)

    def _listen(self) -> None:
        pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
        with pubsub as channels:
            channels.subscribe(*self._channels)
            for channel in self._channels:
                self._logger.log_subscription(channel)
            confirmed = set()
            while not self._stopped.is_set():
                message = channels.get_message(timeout=_POLL_SECONDS)
                if message is None:
                    continue
                channel = _text(message["channel"])
                if message["type"] == "subscribe":
                    self._logger.log_subscription(channel, confirmed=True)
                    confirmed.add(channel)
                    if confirmed >= set(self._channels):
                        self.subscribed.set()
                elif message["type"] == "message":
                    self._on_message(channel, message["data"])

    def _on_message(self, channel: str, data: bytes | str) -> None:
        self._counts["received"] += 1
        self._last_event = time.time()
        try:
            event = json.loads(data)
            if not isinstance(event, dict):
                raise TypeError("it is not a JSON object")  # noqa: TRY301 (handled like invalid JSON)
        except (ValueError, TypeError) as error:
            self._counts["malformed"] += 1
            _log.warning("cannot parse an event on %s: %s", channel, error)
            return
        flow = flow_id_of(event)
        self._logger.log_checkpoint(IntegrationCheckpoint.EVENT_RECEIVED, flow, event=event, channel=channel)
        self._logger.log_checkpoint(IntegrationCheckpoint.EVENT_PARSED, flow, event=event, channel=channel)
        try:
            users = self._handle(event)
        except Exception:  # noqa: BLE001 (the next events must still be handled)
            self._counts["failed"] += 1
            _log.exception("handling an event on %s failed", channel)
            return
        self._counts["processed"] += 1
        if users is not None:
            self._counts["forwarded"] += 1
            self._logger.log_checkpoint(
                IntegrationCheckpoint.WEBSOCKET_DELIVERED, flow, event=event, channel=channel, user_count=users
            )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
