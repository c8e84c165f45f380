"""A proxy that dies, in front of a test's database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from otelgres.collector.tools.chaos.proxy import Proxy
from otelgres.collector.tools.chaos.run import temporary_folder


@contextmanager
def proxied(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """The proxy, and the DSN that leads through it to the database at ``dsn`` (on a Unix socket)."""
    given = conninfo_to_dict(dsn)
    target = Path(str(given["host"])) / f".s.PGSQL.{given['port']}"
    with temporary_folder() as folder, Proxy(folder, lambda: target) as proxy:
        yield proxy, proxy.dsn(str(given["dbname"]), str(given["user"]))
