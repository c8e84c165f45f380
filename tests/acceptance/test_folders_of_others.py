"""Folders that belong to another user: links that he puts into the place of files lead root nowhere."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from otelgres.collector.embedded import Cluster, EmbeddedPostgresError
from otelgres.collector.embedded.os_user import server_user
from otelgres.collector.queue.spool_folders import take_folder
from otelgres.collector.system.folder import Folder, make_folder
from otelgres.collector.system.folder_lock import FolderLock, InUse
from tests import postgres
from tests.acceptance.receiver_process import invoke, up

pytestmark = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root changes users")
SECRET = "of root, for root"

# The interpreter may be out of the user's reach, so root starts it, and it becomes him after its imports.
# Swaps, as fast as it can, a link to the victim and a file of its own, at each of the names and at hidden ones, such as
# those that root has just made.
SWAPPING = """
import os, pwd, sys
user, folder, victim, names = pwd.getpwnam(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
os.setgroups([])
os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
os.chdir(folder)
print("started", flush=True)
while True:
    for name in {*names, *(made for made in os.listdir(".") if made.startswith("."))}:
        for make in (lambda to: os.symlink(victim, to), lambda to: open(to, "w").close()):
            try:
                make("swap")
                os.replace("swap", name)
            except OSError:
                pass
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that all may enter."""
    with postgres.temporary_data() as path:
        path.chmod(0o711)
        yield path


@pytest.fixture
def victim(folder: Path) -> Path:
    """A file of root's that only root can read."""
    path = folder / "victim"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


def unharmed(path: Path) -> bool:
    status = path.lstat()
    mode = (stat.S_ISREG(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_nlink)
    return mode == (True, 0o600, 0, 1) and path.read_text() == SECRET


@contextmanager
def swapping(folder: Path, victim: Path, *names: str, user: str = "nobody") -> Iterator[None]:
    """The folder's owner at work."""
    command = [sys.executable, "-c", SWAPPING, user, str(folder), str(victim), *names]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_what_is_done_in_a_folder_never_reaches_the_target_of_a_link(folder: Path, victim: Path) -> None:
    theirs = folder / "theirs"
    theirs.mkdir()
    shutil.chown(theirs, "nobody")
    lock = FolderLock(theirs / "lock")
    with swapping(theirs, victim, "file", "lock"), Folder(theirs) as opened:
        for _ in range(400):
            with suppress(OSError):
                opened.write("file", "text", 0o644)
            with suppress(OSError):
                opened.remove("file")
            with suppress(OSError):
                opened.rename("file", "lock")
            with suppress(OSError, InUse):
                lock.acquire()
            lock.release()
            with suppress(OSError):
                assert SECRET not in opened.read("file")
            assert SECRET not in opened.tail("file")
    lock.release()
    assert unharmed(victim)


def test_a_new_file_that_is_swapped_at_once_is_changed_by_its_descriptor(
    folder: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = folder / "theirs"
    theirs.mkdir()
    create = Folder.create

    def swapped(opened: Folder, name: str, mode: int = 0o600) -> int:
        descriptor = create(opened, name, mode)
        (theirs / name).unlink()
        (theirs / name).symlink_to(victim)
        return descriptor

    monkeypatch.setattr(Folder, "create", swapped)
    with Folder(theirs) as opened:
        opened.write("file", "text", 0o644)
    assert unharmed(victim)


def test_a_start_and_a_stop_harm_nothing_outside(folder: Path, victim: Path, made_data: Path) -> None:
    data = folder / "data"
    postgres.copy_data(made_data, data)
    user = server_user(data / "postgres").name
    names = ("otelgres.conf", "local.conf", ".s.PGSQL.5432.lock", "current_logfiles")
    cluster = Cluster(data)
    for _ in range(2):
        with swapping(data / "postgres", victim, *names, user=user), suppress(EmbeddedPostgresError), cluster:
            pass
        assert unharmed(victim)


@pytest.mark.parametrize("name", ["otelgres.conf", "postmaster.pid", "PG_VERSION", "log", ".s.PGSQL.5432.lock"])
def test_a_link_in_the_data_directory_is_not_followed(folder: Path, victim: Path, made_data: Path, name: str) -> None:
    data = folder / "data"
    postgres.copy_data(made_data, data)
    entry = data / "postgres" / name
    if entry.is_dir():
        shutil.rmtree(entry)
        target = folder / "logs"
        target.mkdir(mode=0o700)
        victim.rename(target / "postgresql.log")
        entry.symlink_to(target)
        victim = target / "postgresql.log"
    else:
        entry.unlink(missing_ok=True)
        entry.symlink_to(victim)
    said = ""
    try:
        with Cluster(data):
            pass
    except EmbeddedPostgresError as error:
        said = str(error)
    assert SECRET not in said
    assert unharmed(victim)


@pytest.mark.parametrize("name", ["postgres-start.log", "owner.lock", "receiver.json", "postgres"])
def test_a_link_in_the_data_folder_is_not_followed(folder: Path, victim: Path, made_data: Path, name: str) -> None:
    data = folder / "data"
    postgres.copy_data(made_data, data)
    shutil.chown(data, "nobody")
    entry = data / name
    if entry.is_dir():
        entry.rename(folder / "elsewhere")
        entry.symlink_to(folder / "elsewhere")
    else:
        entry.unlink(missing_ok=True)
        entry.symlink_to(victim)
    with up(data) as process:
        if name in ("postgres", "owner.lock"):
            assert process.process.wait(60) == 1
            assert "Cannot store PostgreSQL data" in process.errors
            assert "Traceback" not in process.errors
        else:
            process.ready()
            assert process.stop() == 0, process.errors
    assert unharmed(victim)


def test_a_new_folder_is_changed_only_if_it_is_ours(
    folder: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = folder / "made"
    original = Path.mkdir

    def swapped(path: Path, *arguments: Any, **more: Any) -> None:
        original(path, *arguments, **more)
        if path == made:
            path.rmdir()
            path.symlink_to(folder / "closed")

    (folder / "closed").mkdir(0o700)
    monkeypatch.setattr(Path, "mkdir", swapped)
    with pytest.raises(OSError):  # noqa: PT011 (what the system says of a link)
        make_folder(made, 0o711)
    assert stat.S_IMODE((folder / "closed").stat().st_mode) == 0o700


def test_the_path_of_a_socket_that_the_servers_user_wrote_is_checked(folder: Path, made_data: Path) -> None:
    data = folder / "data"
    postgres.copy_data(made_data, data)
    cluster = Cluster(data)
    with cluster:
        lines = (data / "postgres" / "postmaster.pid").read_text().splitlines()
    theirs = folder / "otelgres-private"
    theirs.mkdir(0o700)
    (theirs / ".s.PGSQL.5432").write_text("kept")
    user = server_user(data / "postgres")
    for path in (theirs, *theirs.iterdir()):
        os.chown(path, user.uid, user.gid)
    lines[0], lines[4] = "1", str(theirs)
    (data / "postgres" / "postmaster.pid").write_text("\n".join(lines))
    with cluster:
        pass
    assert (theirs / ".s.PGSQL.5432").read_text() == "kept"


def test_root_keeps_no_spool_where_another_user_can_change_it(folder: Path) -> None:
    parent = folder / "spool"
    parent.mkdir(0o700)
    shutil.chown(parent, "nobody")
    with pytest.raises(OSError, match="another user can change"):
        take_folder(parent)
    os.chown(parent, 0, 0)
    parent.chmod(0o777)
    with pytest.raises(OSError, match="another user can change"):
        take_folder(parent)
    parent.chmod(0o700)
    (folder / "elsewhere").mkdir(0o700)
    (parent / "0").symlink_to(folder / "elsewhere")
    taken = take_folder(parent)
    assert taken.path == parent / "1"
    taken.release()
    assert list((folder / "elsewhere").iterdir()) == []


LOCKING = """
import fcntl, os, pwd, sys
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
for path in sys.argv[1:]:
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("locked", path)
    except PermissionError:
        print("refused", path)
"""


def test_nobody_cannot_hold_a_lock_of_ours(folder: Path, made_data: Path) -> None:
    data, tokens = folder / "data", folder / "tokens.yaml"
    postgres.copy_data(made_data, data)
    data.chmod(0o755)
    locks = [data / "owner.lock", folder / "tokens.yaml.lock", data / "spool" / "0" / "owner.lock"]
    (data / "spool" / "0").mkdir(parents=True)
    for lock in locks:
        # As an earlier version may have left it.
        lock.touch()
        lock.chmod(0o644)
    done = invoke("token", "new", "--name", "a", "--scope", "ingest", "--tokens-file", str(tokens))
    assert done.returncode == 0, done.stderr
    with up(data) as process:
        process.ready()
        assert process.stop() == 0, process.errors
    (data / "spool").chmod(0o755)  # so that what protects the lock is its own mode
    (data / "spool" / "0").chmod(0o755)
    command = [sys.executable, "-c", LOCKING, *map(str, locks)]
    answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answers.splitlines() == [f"refused {lock}" for lock in locks]
