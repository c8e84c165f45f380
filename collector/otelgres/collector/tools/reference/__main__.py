"""``python -m otelgres.collector.tools.reference FOLDER`` (``make docs``): writes the reference pages."""

import sys
import tempfile
from pathlib import Path

import psycopg

from otelgres.collector.embedded import Cluster, Login
from otelgres.collector.tools.reference.configuration import configuration_reference
from otelgres.collector.tools.reference.relations import sql_reference
from otelgres.sql.migrate import migrate


def main(folder: Path) -> None:
    """Writes both pages into ``folder``, with a temporary embedded PostgreSQL."""
    (folder / "configuration.md").write_text(configuration_reference(), encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="otelgres-reference-") as data, Cluster(Path(data) / "data") as cluster:
        migrate(cluster.dsn(Login.OWNER))
        with psycopg.connect(cluster.dsn(Login.OWNER)) as connection:
            (folder / "sql-reference.md").write_text(sql_reference(connection), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
