"""``otelgres files``: writes the dashboards, alert rules, runbooks and deployment files that the package contains.

An installed wheel has them in ``share/doc/otelgres`` of its environment; an editable install uses the checkout.
"""

import json
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click

from otelgres.collector.cli.options import NamedPath
from otelgres.collector.system.file_tree import CannotWrite, write_files

_FOLDER: Final = "share/doc/otelgres"
_REPOSITORY: Final = "https://github.com/otelgres/otelgres"


@click.command(short_help="Write dashboards, alert rules and deployment files.")
@click.argument("folder", metavar="[DIR]", type=NamedPath(file_okay=False, path_type=Path), required=False)
@click.option("--list", "only_list", is_flag=True, help="Print the file names only.")
@click.option("--force", is_flag=True, help="Overwrite files with other contents.")
def files(folder: Path | None, only_list: bool, force: bool) -> None:
    """Write into DIR: Grafana dashboards and alert rules, runbooks, docker-compose.yml, the Collector's configuration,
    a systemd unit and Kubernetes manifests.

    All files are written or none: without --force nothing is if a file with other contents exists. Symbolic links in
    DIR are not followed.
    """
    if not only_list and folder is None:
        raise click.UsageError("Give the folder to write into, or --list.")
    installed = distribution("otelgres")
    sources = _sources(installed)
    if only_list or folder is None:
        for name in sources:
            click.echo(name)
        return
    try:
        write_files(folder, sources, overwrite=force)
    except CannotWrite as error:
        raise click.ClickException(f"nothing was written: {error}.") from error
    for name in sources:
        click.echo(folder / name)
    click.echo(f"""
{len(sources)} files are in {folder}. To start the stack with Docker, in that folder:
  docker build -t otelgres:local {_REPOSITORY}.git
  sh docs/deploy/make-secrets.sh
  docker compose up
Other ways to deploy: {_REPOSITORY}/blob/main/docs/deploy.md""")


def _sources(installed: Distribution) -> dict[str, Path]:
    """The files, by their names in the folder (with slashes, sorted). Raises ClickException if there are none."""
    checkout = _checkout(installed)
    found = _of_installation(installed) if checkout is None else _of_checkout(checkout)
    if not found:
        raise click.ClickException("the files of this otelgres installation are missing: install it again.")
    return dict(sorted(found.items()))


def _checkout(installed: Distribution) -> Path | None:
    """The root of the source tree of an editable installation (PEP 610), else None."""
    if installed.read_text("PKG-INFO") is not None:
        # Found in the source tree itself, where setuptools leaves it: the tree is on the path.
        return Path(str(installed.locate_file("")))
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path))


def _of_checkout(root: Path) -> dict[str, Path]:
    patterns = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["data-files"]
    return {
        path.relative_to(root).as_posix(): path
        for several in patterns.values()
        for pattern in several
        for path in root.glob(pattern)
    }


def _of_installation(installed: Distribution) -> dict[str, Path]:
    # `pip install --target` moves the folder next to the packages, but RECORD keeps the old paths.
    folders = [_FOLDER]
    for recorded in installed.files or ():
        before, found, _ = str(recorded).partition(f"{_FOLDER}/")
        if found:
            folders.append(before + found)
            break
    for folder in (Path(str(installed.locate_file(name))) for name in folders):
        if folder.is_dir():
            return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {}
