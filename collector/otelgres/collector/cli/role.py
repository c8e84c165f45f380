"""``otelgres role``: creates PostgreSQL logins with the rights of the group role for a receiver, reader or tenant."""

import re
import secrets
import sys
from pathlib import Path
from typing import Any, Final

import click
import psycopg
from psycopg import sql

from otelgres.collector.cli.options import NamedPath, data_option
from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.security.private_file import InsecureFileMode, read_private
from otelgres.collector.service.settings import load

_GROUPS: Final = {
    "reader": "otelgres_reader",
    "writer": "otelgres_writer",
    "tenant": "otelgres_tenant",
    "owner": "otelgres_owner",
}
# Settings of group roles are not inherited, so each login has its own. A session may still change them.
_READING: Final = (
    "statement_timeout = '30s'",
    "default_transaction_read_only = on",
    "idle_in_transaction_session_timeout = '60s'",
)
_CONNECTIONS: Final = 20


@click.group()
def role() -> None:
    """Create logins for receivers, readers and tenants."""


@role.command(short_help="Create a login, or update its rights.")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(_GROUPS)), required=True, help="Rights of each kind: docs/security.md.")
@click.option("--tenant", help="With --kind tenant: the tenant.id (resource attribute) that it may read.")
@click.option(
    "--password-file",
    type=NamedPath(allow_dash=True, path_type=Path),
    help='File with the password, "-" for stdin [a random one, printed once].',
)
@click.option("--dsn", help="Database DSN, as a role with CREATEROLE [OTELGRES_DSN, else the embedded one].")
@data_option
def create(name: str, kind: str, tenant: str | None, password_file: Path | None, dsn: str | None, data: Path) -> None:
    """Create the login NAME, or set the rights and password of an existing one."""
    if (kind == "tenant") != (tenant is not None):
        raise click.UsageError("--kind tenant needs --tenant, and --tenant needs --kind tenant.")
    target = load({"dsn": dsn}).dsn or running_dsn(data)
    if target is None:
        raise click.ClickException(f"no PostgreSQL is running on {data}: start one with `otelgres up`, or give --dsn.")
    if re.match("(?i)pg_|otelgres_(reader|writer|owner|tenant)$", name):
        raise click.UsageError(f"{name} is reserved by PostgreSQL or otelgres: choose another name.")
    password = _password(password_file)
    made_up = password is None
    word = password or secrets.token_urlsafe(24)
    try:
        with psycopg.connect(target, connect_timeout=5) as connection:
            _create(connection, name, kind, tenant, word)
    except psycopg.errors.InsufficientPrivilege as error:
        raise click.ClickException(f"{str(error).strip()}: use a role with CREATEROLE.") from error
    except psycopg.Error as error:
        raise click.ClickException(f"the role could not be created: {str(error).strip()}") from error
    click.echo(f"role {name}: {kind}" + (f" of tenant {tenant}" if tenant else ""), err=made_up)
    if made_up:
        click.echo(word)
        click.echo("The password is shown only once; PostgreSQL stores its hash.", err=True)


def _create(connection: psycopg.Connection[Any], name: str, kind: str, tenant: str | None, password: str) -> None:
    group = _GROUPS[kind]
    there = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [group]).fetchone()
    schema = connection.execute("SELECT to_regclass('_otel.tenants') IS NOT NULL").fetchone()
    if not there or not schema or not schema[0]:
        raise click.ClickException("the schema or its roles do not exist: run `otelgres migrate` first.")
    login = sql.Identifier(name)
    # Hashed here, so that the server's logs do not contain the password.
    hashed = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    connection.execute(
        sql.SQL(
            "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT {} PASSWORD {}"
        ).format(
            sql.SQL("ALTER" if known else "CREATE"),
            login,
            sql.Literal(_CONNECTIONS if kind in ("reader", "tenant") else -1),
            sql.Literal(hashed),
        )
    )
    for other in _GROUPS.values():
        if other != group:
            connection.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(other), login))
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), login))
    connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(login))
    path = {"reader": "otel, compat, public", "tenant": "otel_tenant"}.get(kind)
    if path:
        for setting in _READING:
            connection.execute(sql.SQL("ALTER ROLE {} SET {}").format(login, sql.SQL(setting)))
        connection.execute(sql.SQL("ALTER ROLE {} SET search_path = {}").format(login, sql.SQL(path)))
    connection.execute("DELETE FROM _otel.tenants WHERE role_name = %s", [name])
    if tenant is not None:
        connection.execute("INSERT INTO _otel.tenants VALUES (%s, %s)", [name, tenant])


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        text = sys.stdin.read() if str(file) == "-" else read_private(file)
    except InsecureFileMode as error:
        raise click.UsageError(f"the password file {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}.") from None
    if not text.strip():
        raise click.UsageError("the password is empty.")
    return text.strip()
