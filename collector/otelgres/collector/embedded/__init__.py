"""An embedded PostgreSQL: one data directory and one server, started and stopped by the process that owns it."""

from otelgres.collector.embedded.cluster import Cluster, running_dsn
from otelgres.collector.embedded.errors import EmbeddedPostgresError

__all__ = ["Cluster", "EmbeddedPostgresError", "running_dsn"]
