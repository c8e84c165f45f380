"""Patterns sent from one system to another through Redis, each with its own flow id.

    python docs/examples/redis_flow.py subscriber      # in one terminal; Enter ends it
    python docs/examples/redis_flow.py publisher 5     # in another

with a receiver running, and Redis at REDIS_URL (redis://127.0.0.1:6379/0). Needs extra `redis` of otelgres.
"""

import json
import os
import sys
import uuid

try:
    import redis
except ImportError:
    sys.exit("This example needs redis-py: pip install redis")

from otel_setup import configure_telemetry, expected_checkpoints, shutdown_telemetry
from otel_setup.integration import DatabaseIntegrationLogger, IntegrationCheckpoint
from otel_setup.integration.redis_subscriber import RedisEventSubscriber

CHANNEL = "events.patterns"
# The checkpoints that every pattern should pass, and the likely cause if one is missing (otel.incomplete_flows).
CAUSES = {
    "PATTERN_PUBLISHED": "the detector does not publish",
    "EVENT_RECEIVED": "Redis is away, or nobody has subscribed",
    "EVENT_PARSED": "the event could not be read",
    "WEBSOCKET_DELIVERED": "no user is connected",
}


def publisher(client: "redis.Redis", count: int) -> None:
    """Publishes patterns and prints their flow ids."""
    configure_telemetry(service_name="detector")
    expected_checkpoints("PATTERN_PUBLISHED", list(CAUSES), CAUSES)
    logger = DatabaseIntegrationLogger("Detector")
    for number in range(count):
        event = {"flow_id": str(uuid.uuid4()), "symbol": "AAPL", "pattern": "Doji", "confidence": 0.5 + number / 100}
        logger.log_checkpoint(IntegrationCheckpoint.PATTERN_PUBLISHED, event=event, channel=CHANNEL)
        client.publish(CHANNEL, json.dumps(event))
        print(event["flow_id"], flush=True)
    shutdown_telemetry()


def subscriber(client: "redis.Redis") -> None:
    """Receives patterns until stdin has a line or ends."""
    configure_telemetry(service_name="dashboard")
    logger = DatabaseIntegrationLogger("Dashboard")
    events = RedisEventSubscriber(client, [CHANNEL], lambda event: 3, logger)  # three users are connected
    events.start()
    events.subscribed.wait(30)
    print("subscribed", flush=True)
    sys.stdin.readline()
    events.stop()
    print(json.dumps(events.stats()), flush=True)
    shutdown_telemetry()


if __name__ == "__main__":
    connection = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    if sys.argv[1:2] == ["publisher"]:
        publisher(connection, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
    else:
        subscriber(connection)
