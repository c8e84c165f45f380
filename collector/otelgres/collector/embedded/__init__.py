"""An embedded PostgreSQL: one data directory and one server, started and stopped by the process that owns it."""

from otelgres.collector.embedded.cluster import Cluster, running_dsn
from otelgres.collector.embedded.errors import EmbeddedPostgresError
from otelgres.collector.embedded.logins import Login

__all__ = ["Cluster", "EmbeddedPostgresError", "Login", "running_dsn"]
