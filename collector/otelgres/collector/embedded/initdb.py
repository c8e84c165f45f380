"""Creates a data directory under a temporary name and renames it when complete: a kill leaves no partial one."""

import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from otelgres.collector.embedded import binaries, tuning
from otelgres.collector.embedded.errors import EmbeddedPostgresError, failure
from otelgres.collector.embedded.os_user import ServerUser
from otelgres.collector.embedded.postmaster import SUPERUSER
from otelgres.collector.system.folder import Folder

_PREFIX = "postgres.new-"


def create(pgdata: Path, programs: Path, version: str, user: ServerUser, password_file: Path | None) -> None:
    """Create ``pgdata`` (absent or empty): UTF8, C.UTF-8, data checksums. Raises EmbeddedPostgresError, OSError.

    initdb syncs its files (the cost is below the variation between runs). Without that, a power failure could destroy a
    cluster that has already acknowledged data, because later commits do not fsync these files.
    """
    with Folder(pgdata.parent, links=True) as data:
        for name in data.names():
            if name.startswith(_PREFIX):
                # Does not follow links, also not those that appear meanwhile.
                shutil.rmtree(pgdata.parent / name, ignore_errors=True)
        if data.kind(pgdata.name) is not None:
            with data.folder(pgdata.name) as existing:
                if existing.names():
                    raise EmbeddedPostgresError(
                        f"{pgdata} is not empty and holds no PostgreSQL data: "
                        "move it away, or use another data directory."
                    )
        name = f"{_PREFIX}{secrets.token_hex(4)}"
        data.make(name, 0o700)
        _fill(data, name, programs, user, _arguments(version, password_file))
        data.rename(name, pgdata.name)
        data.sync()


def _fill(data: Folder, name: str, programs: Path, user: ServerUser, arguments: Sequence[str]) -> None:
    fresh = data.path / name
    try:
        with data.folder(name) as folder:
            user.give(folder)
        command = [str(programs / "initdb"), "-D", user.working_directory(fresh), *arguments]
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
                f"Could not create a PostgreSQL data directory in {data.path}", done.stdout
            )
        with data.folder(name) as folder:
            folder.write("postgresql.conf", folder.read("postgresql.conf") + tuning.INCLUDES, 0o644)
            folder.write(tuning.LOCAL, tuning.LOCAL_TEXT, 0o644)
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
