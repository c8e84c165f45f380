"""The commands. Each is a module of its name, loaded when it is asked for; errors become one sentence."""

import sys
from importlib import import_module
from typing import Final

import click

from otelgres.collector.embedded.errors import EmbeddedPostgresError
from otelgres.collector.service.settings import SettingError
from otelgres.collector.system.listen import CannotListen
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
    """Imports a command's module only when it is needed: the gRPC server alone takes longer than `otelgres dsn`."""

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
    """Runs the command that the arguments name: an error a person can mend is one sentence on stderr, no traceback."""
    try:
        cli()
    except (EmbeddedPostgresError, CannotListen, SettingError, SchemaError) as error:
        # An OSError's text begins with its number, which tells a person nothing.
        click.echo(f"otelgres: {getattr(error, 'strerror', None) or error}", err=True)
        sys.exit(1)
