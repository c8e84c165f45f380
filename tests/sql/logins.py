"""Logins of each kind on a server that tests share, and a role that may only connect."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from otelgres.collector.embedded.logins import Login
from tests.postgres import as_login

KINDS = ("writer", "reader", "tenant", "stranger")


@contextmanager
def logins(database: str) -> Iterator[dict[str, str]]:
    """DSNs by kind. Each login owns a schema of its own name in the database, as a business application would."""
    with psycopg.connect(as_login(database, Login.SUPERUSER), autocommit=True) as connection:
        name = connection.info.dbname
        roles = {kind: f"{name}_{kind}" for kind in KINDS}
        try:
            for kind, role in roles.items():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
                connection.execute(sql.SQL("CREATE SCHEMA {0} AUTHORIZATION {0}").format(sql.Identifier(role)))
                if kind != "stranger":
                    group = sql.Identifier(f"otelgres_{kind}")
                    connection.execute(sql.SQL("GRANT {} TO {}").format(group, sql.Identifier(role)))
            connection.execute("INSERT INTO _otel.tenants VALUES (%s, 'theirs')", [roles["tenant"]])
            yield {kind: as_login(database, role) for kind, role in roles.items()}
        finally:
            for role in roles.values():
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
                connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
