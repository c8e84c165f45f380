"""Checks of what other logins may do: rights of PUBLIC, and sessions that keep expired partitions."""

from collections.abc import Iterator

import psycopg

from otelgres.collector.inspect.diagnose import Context, Finding, Severity, fine, warning
from otelgres.sql.queries import query


def public(context: Context) -> Iterator[Finding]:
    """Says what is open to every login of the server, with the statement that closes it. Never a problem by itself."""
    if context.connection is None:
        return
    for row in context.connection.execute(query("diagnose_public")).fetchall():
        yield Finding("public", Severity.FINE, row["what"], f"if no other program needs it: {row['fix']}")


def retention(context: Context) -> Iterator[Finding]:
    """Checks that expired partitions are dropped, and names the sessions that prevent it."""
    if context.connection is None:
        return
    try:
        tables = context.connection.execute(query("diagnose_expired")).fetchall()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable):
        return
    if not tables:
        yield fine("retention", "no expired partitions are left")
        return
    holders = context.connection.execute(query("lock_holders")).fetchall()
    named = ", ".join(
        f"pid {row['pid']} of {row['login']}" + (f" since {row['since']:%Y-%m-%d %H:%M:%S%z}" if row["since"] else "")
        for row in holders
    )
    yield warning(
        "retention",
        f"expired partitions of {', '.join(row['table'] for row in tables)} are not dropped"
        + (f"; sessions that use the tables: {named}" if named else ""),
        "end transactions that last long (SELECT pg_terminate_backend(PID)); drop objects that depend on partitions; "
        "a receiver must be running",
    )
