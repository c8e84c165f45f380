"""A real PostgreSQL of our own: one data directory, one server, started and stopped by the process that owns it.

Refuses to know what is stored in it: schema, migrations and telemetry are other packages' business.
"""

from otelgres.collector.embedded.cluster import Cluster, default_data_dir, running_dsn
from otelgres.collector.embedded.errors import EmbeddedPostgresError

__all__ = ["Cluster", "EmbeddedPostgresError", "default_data_dir", "running_dsn"]
