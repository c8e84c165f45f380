"""What `--help` lists fits the screen: no command's line is cut."""

from collections.abc import Iterator

import click
import pytest

from otelgres.collector.cli.group import cli


def _groups(group: click.Group, context: click.Context) -> Iterator[click.Context]:
    yield context
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _groups(command, click.Context(command, context, name))


@pytest.mark.parametrize(
    "context", list(_groups(cli, click.Context(cli, info_name="otelgres"))), ids=lambda context: context.command_path
)
def test_no_line_is_cut(context: click.Context) -> None:
    lines = context.get_help().splitlines()
    assert not [line for line in lines if line.endswith("...") and "[ARGS]" not in line]
    assert max(map(len, lines)) <= 80
