"""``otelgres migrate``: migrates a database to the schema of this version, checks it, or recreates it."""

import sys
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import psycopg

from otelgres.collector.cli.progress import progress
from otelgres.collector.inspect.tabular import Column
from otelgres.collector.inspect.tabular.text import TableWriter
from otelgres.collector.service.settings import load
from otelgres.collector.tools.bench.processes import ProcessError, receiver, worker
from otelgres.exporters.plural import counted
from otelgres.sql.logins import SUPERUSER_ADVICE, is_superuser
from otelgres.sql.migrate import migrate as bring_up_to_date
from otelgres.sql.migrate import migration_steps, pending, up_to_date
from otelgres.sql.queries import query
from otelgres.sql.recreate import DatabaseContents, contents, drop

_PENDING = 1
_ALIVE = "SELECT DISTINCT host || ' ' || pid FROM otel.receivers WHERE alive"


@click.command(short_help="Migrate the database to this version's schema.")
@click.option("--dsn", help="Database DSN. Prefer OTELGRES_DSN: `ps` shows options to everyone.")
@click.option("--check-only", is_flag=True, help="Change nothing; exit 0 if up to date, 1 if migrations are pending.")
@click.option("--test-data", metavar="ID", help="Then store a small experiment with this id (a uuid).")
@click.option("--show-queries", is_flag=True, help="Print sample queries and exit.")
@click.option("--force", is_flag=True, help="First drop all otelgres schemas and their data, after a prompt.")
@click.option("--yes", is_flag=True, help="With --force: no prompt.")
@click.option("--i-know-this-deletes-data", "knows", is_flag=True, help="With --force: even if telemetry is stored.")
def migrate(
    dsn: str | None, check_only: bool, test_data: str | None, show_queries: bool, force: bool, yes: bool, knows: bool
) -> None:
    """Apply pending migrations. Without --force nothing is dropped."""
    if show_queries:
        click.echo(query("sample_queries").decode(), nl=False)
        return
    experiment = _experiment(test_data)
    if check_only and (force or test_data):
        raise click.UsageError("--check-only changes nothing: leave out --force and --test-data.")
    if (yes or knows) and not force:
        raise click.UsageError("--yes and --i-know-this-deletes-data need --force.")
    target = load({"dsn": dsn}).dsn
    if not target:
        raise click.UsageError("no database: set --dsn or OTELGRES_DSN.")
    try:
        with psycopg.connect(target, connect_timeout=5, autocommit=True) as connection:
            user, superuser = connection.info.user, is_superuser(connection)
            # Nothing of the schema is read as a superuser; what it may do is decided by the migration.
            steps = len(migration_steps() if superuser else pending(connection))
        if superuser and (check_only or force or experiment is not None):
            raise click.ClickException(
                f"{user} is a superuser of PostgreSQL, which may only create the schema: {SUPERUSER_ADVICE}."
            )
        if check_only:
            sys.exit(_check(target))
        if force:
            _drop(target, yes=yes, knows=knows)
            steps = len(migration_steps())
        with progress("steps", steps) as advance:
            applied = bring_up_to_date(target, partial(_show_step, advance))
        click.echo(f"{counted(len(applied), 'migration')} applied" if applied else "up to date")
        if experiment is not None:
            _run_experiment(target, experiment)
        if force or experiment is not None:
            _sizes(target)
    except psycopg.Error as error:
        raise click.ClickException(f"migration failed: {str(error).strip()}") from error


def _show_step(advance: Callable[[], None], step: str) -> None:
    click.echo(f"applying {step}")
    advance()


def _experiment(given: str | None) -> uuid.UUID | None:
    try:
        return None if given is None else uuid.UUID(given)
    except ValueError as error:
        raise click.UsageError(f"--test-data {given!r} is not a uuid: use, for example, {uuid.uuid4()}.") from error


def _check(dsn: str) -> int:
    with psycopg.connect(dsn, connect_timeout=5, autocommit=True) as connection:
        missing = pending(connection)
        same = bool(missing) or up_to_date(connection)
        found = contents(connection)
        for name in found.schemas:
            relations, functions = connection.execute(
                "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid AND relkind IN ('r', 'p', 'v') "
                "AND NOT relispartition), (SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid) "
                "FROM pg_namespace n WHERE nspname = %s",
                [name],
            ).fetchone() or (0, 0)
            click.echo(f"schema {name}: {relations} relations, {functions} functions")
        if not found.schemas:
            click.echo("the database contains no otelgres schemas")
    for name in missing:
        click.echo(f"pending: {name}")
    if missing:
        return _PENDING
    _sizes(dsn)
    # Compares the contents of applied migrations too, not only their names.
    click.echo("up to date" if same else "a migration was changed after it was applied: `otelgres migrate` names it")
    return 0 if same else _PENDING


def _drop(dsn: str, *, yes: bool, knows: bool) -> None:
    with psycopg.connect(dsn, connect_timeout=5, autocommit=True) as connection:
        found = contents(connection)
        if not found.schemas:
            return
        _print_contents(found)
        _check_no_receivers(connection)
        if found.has_telemetry and not knows:
            raise click.UsageError(
                f"database {found.database} contains telemetry, which would be deleted: "
                "add --i-know-this-deletes-data to delete it."
            )
        if not yes and click.prompt("Type the name of the database to continue", default="") != found.database:
            raise click.ClickException("the name does not match: nothing was dropped.")
        drop(connection)
        click.echo(f"dropped schemas {', '.join(found.schemas)}")


def _print_contents(found: DatabaseContents) -> None:
    click.echo(f"This drops from database {found.database} the schemas {', '.join(found.schemas)} and all their data:")
    for name, number in found.rows.items():
        click.echo(f"  {name}: {counted(number, 'row')}")
    if not found.rows:
        click.echo("  no rows")


def _check_no_receivers(connection: psycopg.Connection[Any]) -> None:
    try:
        alive = [row[0] for row in connection.execute(_ALIVE).fetchall()]
    except psycopg.Error:
        # A broken or incompatible schema must not prevent recreating it.
        return
    if alive:
        raise click.ClickException(
            f"receivers are using the database (host, pid: {', '.join(alive)}): stop them first."
        )


def _run_experiment(dsn: str, experiment: uuid.UUID) -> None:
    try:
        with (
            receiver(dsn) as target,
            worker(
                "the experiment", "-m", "otel_setup.demo.pipeline_sample", f"http://{target.grpc}", str(experiment)
            ) as application,
        ):
            sent = application.answer()
    except ProcessError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"experiment {experiment}: " + ", ".join(f"{number} {signal}" for signal, number in sent.items()))


def _sizes(dsn: str) -> None:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        found = connection.execute(
            "SELECT relation, table_name, partitions, estimated_rows, size FROM compat.pipeline_table_sizes"
        )
        columns = [Column(column.name, column.type_display) for column in found.description or []]
        with TableWriter(columns, sys.stdout) as shown:
            for row in found:
                shown.write(row)
