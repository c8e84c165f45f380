"""The commands. Each is a module of its name, imported on use; known errors are printed as one line."""

import errno
import sys
from importlib import import_module
from typing import Final

import click

from otelgres.collector.embedded.errors import EmbeddedPostgresError
from otelgres.collector.service.settings import SettingError
from otelgres.collector.system.listen import CannotListen
from otelgres.collector.system.terminal import guard_streams
from otelgres.sql.migrate import SchemaError

COMMANDS: Final = (
    "up",
    "serve",
    "migrate",
    "dsn",
    "token",
    "role",
    "status",
    "healthcheck",
    "query",
    "flow",
    "monitor",
    "tail",
    "alerts",
    "diagnose",
    "report",
    "export",
    "files",
    "replay",
    "demo",
    "bench",
    "chaos",
)


class _Commands(click.Group):
    """Imports a command's module on use: importing gRPC alone takes longer than `otelgres dsn`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"otelgres.collector.cli.{cmd_name}"), cmd_name)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="otelgres")
def cli() -> None:
    """OpenTelemetry in, PostgreSQL rows out."""


def run() -> None:
    """Runs a command. Errors that the user can fix are one line on stderr, without a traceback."""
    guard_streams()
    try:
        cli()
    except (EmbeddedPostgresError, CannotListen, SettingError, SchemaError) as error:
        # The text of an OSError starts with its error number; strerror is the message alone.
        click.echo(f"otelgres: {getattr(error, 'strerror', None) or error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # Often stdout in a file. It is not flushed again at exit.
        sys.stdout = None
        click.echo(f"otelgres: {error.filename or 'the output'} cannot be written: {error.strerror}", err=True)
        sys.exit(1)
