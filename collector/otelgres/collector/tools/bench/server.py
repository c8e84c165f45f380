"""Temporary databases for benchmarks, on an embedded server or a given one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from otelgres.collector.embedded import Cluster, Login
from otelgres.sql.logins import refuse_superuser
from otelgres.sql.migrate import migrate


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server.

    ``admin_dsn`` creates databases, ``dsn`` is for the work in them; ``pid`` is the postmaster's of an embedded server,
    else None.
    """

    admin_dsn: str
    dsn: str
    pid: int | None
    version: str

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Yields the DSN of a new, migrated database; drops it when the block ends."""
        name = f"otelgres_bench_{uuid4().hex[:12]}"
        self._execute(sql.SQL("CREATE DATABASE {}{}").format(sql.Identifier(name), sql.SQL(self._owner())))
        try:
            dsn = make_conninfo(self.dsn, dbname=name)
            migrate(dsn)
            # Dirty pages of the last measurement must not be written during this one.
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                self._execute(sql.SQL("CHECKPOINT"))
            yield dsn
        finally:
            self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _owner(self) -> str:
        return "" if self.admin_dsn == self.dsn else " OWNER otelgres_owner"

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def server(dsn: str | None, folder: Path | None) -> Iterator[Server]:
    """The server at ``dsn``; without it, an embedded server with its data in ``folder`` (None: a temporary folder).

    The embedded server and its data are removed when the block ends. On a given server only temporary databases are
    created and dropped; its login needs CREATEDB. Raises LoginRefused for a superuser's.
    """
    if dsn is not None:
        with psycopg.connect(dsn) as connection:
            refuse_superuser(connection)
        yield Server(dsn, dsn, None, _version(dsn))
        return
    data = Path(tempfile.mkdtemp(prefix=f"otelgres-bench-{os.getpid()}-", dir=folder))
    try:
        with Cluster(data / "data") as cluster:
            dsn = cluster.dsn(Login.OWNER)
            yield Server(cluster.dsn(Login.SUPERUSER), dsn, cluster.pid, _version(dsn))
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _version(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        return connection.info.parameter_status("server_version") or "?"
