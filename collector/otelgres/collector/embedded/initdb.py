"""Creates a data directory under a temporary name and renames it when complete: a kill leaves no partial one."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from otelgres.collector.embedded import binaries, files, tuning
from otelgres.collector.embedded.errors import EmbeddedPostgresError, failure
from otelgres.collector.embedded.os_user import ServerUser
from otelgres.collector.embedded.postmaster import SUPERUSER

_PREFIX = "postgres.new-"


def create(pgdata: Path, programs: Path, version: str, user: ServerUser, password_file: Path | None) -> None:
    """Create ``pgdata`` (absent or empty): UTF8, C.UTF-8, data checksums. Raises EmbeddedPostgresError, OSError.

    initdb syncs its files (the cost is below the variation between runs). Without that, a power failure could destroy a
    cluster that has already acknowledged data, because later commits do not fsync these files.
    """
    for old in pgdata.parent.glob(f"{_PREFIX}*"):
        shutil.rmtree(old, ignore_errors=True)
    if pgdata.exists() and any(pgdata.iterdir()):
        raise EmbeddedPostgresError(
            f"{pgdata} is not empty and holds no PostgreSQL data: move it away, or use another data directory."
        )
    fresh = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=pgdata.parent))  # mode 0700
    try:
        user.give(fresh)
        command = [str(programs / "initdb"), "-D", user.working_directory(fresh), *_arguments(version, password_file)]
        done = subprocess.run(
            user.command(command),
            cwd=fresh,
            env=binaries.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise failure(  # noqa: TRY301 (the partial directory is removed below)
                f"Could not create a PostgreSQL data directory in {pgdata.parent}", done.stdout
            )
        configuration = fresh / "postgresql.conf"
        files.replace(configuration, files.read(configuration) + tuning.INCLUDES)
        files.replace(fresh / tuning.LOCAL, tuning.LOCAL_TEXT)
        fresh.replace(pgdata)
        files.sync_directory(pgdata.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _arguments(version: str, password_file: Path | None) -> list[str]:
    # Sort order by code point for all versions: the same results everywhere, and LIKE 'x%' can use an index.
    if int(version) >= 17:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        locale = ["--locale=C", "--lc-ctype=C.UTF-8" if sys.platform == "linux" else "--lc-ctype=C"]
    if password_file is None:
        # "trust" is for the socket, in a directory that only the server's user (and root) can enter. TCP is off; if
        # local.conf enables it, a password is required.
        access = ["--auth-local=trust", "--auth-host=scram-sha-256"]
    else:
        access = ["--auth=scram-sha-256", f"--pwfile={password_file}"]
    return ["--username", SUPERUSER, "--encoding=UTF8", "--data-checksums", "--no-instructions", *locale, *access]
