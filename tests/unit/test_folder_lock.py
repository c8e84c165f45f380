"""The lock of a folder: private, released by a crash, and never a way into another file."""

import os
import stat
from pathlib import Path

import pytest

from otelgres.collector.system.folder_lock import FolderLock, InUse


def test_a_second_lock_is_told_the_owner(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "owner.lock"), FolderLock(tmp_path / "owner.lock")
    first.acquire()
    assert first.held
    with pytest.raises(InUse, match=f"in use by process {os.getpid()}") as found:
        second.acquire()
    assert found.value.folder == tmp_path
    assert not second.held
    first.release()
    second.acquire()
    second.release()


def test_nobody_else_can_open_it_and_so_lock_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "owner.lock")
    before = os.umask(0)
    try:
        lock.acquire()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "owner.lock").stat().st_mode) == 0o600
    lock.release()


def test_a_lock_of_an_earlier_version_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "owner.lock"
    path.touch()
    path.chmod(0o644)
    lock = FolderLock(path)
    lock.acquire()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lock.release()


def test_a_second_name_of_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("of somebody else")
    os.link(tmp_path / "outside", tmp_path / "owner.lock")
    with pytest.raises(OSError, match="another name"):
        FolderLock(tmp_path / "owner.lock").acquire()
    assert (tmp_path / "outside").read_text() == "of somebody else"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("of somebody else")
    paths = [tmp_path / f"{number}.lock" for number in range(3)]
    paths[0].symlink_to(outside)
    paths[1].symlink_to(tmp_path / "x")
    os.mkfifo(paths[2])
    for path in paths:
        with pytest.raises(OSError, match="not a regular file"):
            FolderLock(path).acquire()
    assert outside.read_text() == "of somebody else"
    assert not (tmp_path / "x").exists()
