"""Events between systems: checkpoints with a flow id, heartbeats, subscriptions."""

from otel_setup.integration.events import (
    HEARTBEAT,
    SUBSCRIPTION,
    DatabaseIntegrationLogger,
    Heartbeat,
    IntegrationCheckpoint,
    IntegrationEventType,
    flow_id_of,
)

__all__ = [
    "HEARTBEAT",
    "SUBSCRIPTION",
    "DatabaseIntegrationLogger",
    "Heartbeat",
    "IntegrationCheckpoint",
    "IntegrationEventType",
    "flow_id_of",
]
