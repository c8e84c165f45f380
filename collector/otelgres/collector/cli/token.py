"""``otelgres token``: creates, lists and revokes the bearer tokens that a receiver accepts."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from otelgres.collector.security.token_file import TokensUnusable, changing, load_tokens
from otelgres.collector.security.tokens import Token, TokenScope, expiry, new_token
from otelgres.collector.service.settings import load

_file_option = click.option(
    "--tokens-file", metavar="FILE", help="File with the hashes of the tokens [setting tokens_file]."
)


@click.group()
def token() -> None:
    """Create, list and revoke access tokens. Receivers reload the file without a restart."""


@token.command()
@click.option("--name", required=True, help="Owner of the token; not unique, to allow rotation.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in TokenScope]),
    multiple=True,
    required=True,
    help="May be repeated.",
)
@click.option("--expires", metavar="WHEN", help="90d, 12h, 30m or a date [never].")
@click.option("--tenant", help="Tenant of the data sent with it.")
@_file_option
def new(name: str, scopes: Sequence[str], expires: str | None, tenant: str | None, tokens_file: str | None) -> None:
    """Create a token, print it once and store its hash."""
    now = datetime.now(UTC)
    try:
        until = expiry(expires, now) if expires else None
    except ValueError:
        raise click.UsageError(f"--expires must be like 90d, 12h, 30m or 2030-01-31, not {expires!r}.") from None
    if until is not None and until <= now:
        raise click.UsageError("--expires is in the past.")
    if not name:
        raise click.UsageError("--name must not be empty.")
    path = _path(tokens_file)
    text, made = new_token(name, map(TokenScope, scopes), now=now, expires=until, tenant=tenant)
    try:
        with changing(path) as tokens:
            tokens.append(made)
    except TokensUnusable as error:
        raise click.ClickException(str(error)) from error
    click.echo(text)
    click.echo(
        f"The token is shown only once. {path} has its hash, with id {made.id}; receivers using it accept it now.",
        err=True,
    )


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@_file_option
def list_(as_json: bool, tokens_file: str | None) -> None:
    """List the ids and properties of the tokens in the file."""
    try:
        tokens = load_tokens(_path(tokens_file))
    except TokensUnusable as error:
        raise click.ClickException(str(error)) from error
    lines = [_described(one) for one in tokens]
    if as_json:
        for line in lines:
            click.echo(json.dumps(line))
        return
    for line in [dict(zip(_COLUMNS, _COLUMNS, strict=True)), *lines]:
        cells = [", ".join(cell) if isinstance(cell, list) else cell or "-" for cell in line.values()]
        click.echo(" ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip())


@token.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@_file_option
def revoke(ids: Sequence[str], tokens_file: str | None) -> None:
    """Remove tokens from the file, by the ids that `list` shows."""
    path = _path(tokens_file)
    try:
        with changing(path) as tokens:
            unknown = set(ids) - {one.id for one in tokens}
            if unknown:
                raise click.ClickException(f"{path} has no token {', '.join(sorted(unknown))}: nothing was revoked.")
            tokens[:] = [one for one in tokens if one.id not in ids]
    except TokensUnusable as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"revoked: {', '.join(ids)}. Receivers reject them within seconds.")


_COLUMNS = ("id", "name", "scopes", "created", "expires", "tenant")
_WIDTHS = (12, 24, 12, 16, 16, 0)


def _described(one: Token) -> dict[str, Any]:
    def minute(time: datetime | None) -> str | None:
        return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ") if time else None

    values = (one.id, one.principal.name, sorted(one.scopes), minute(one.created), minute(one.expires))
    return dict(zip(_COLUMNS, (*values, one.principal.tenant), strict=True))


def _path(given: str | None) -> Path:
    path = load({"tokens_file": given}).tokens_file
    if not path:
        raise click.UsageError("no tokens file: set --tokens-file or the setting tokens_file (OTELGRES_TOKENS_FILE).")
    return Path(path)
