"""Files of a folder are written all or none, and through no symbolic link."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otelgres.collector.system.file_tree import CannotWrite, write_files

posix = pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
NAMES = ("a.txt", "docs/b.txt", "docs/deep/c.sh")


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "sources"
    folder.mkdir()
    found = {name: folder / name.replace("/", "-") for name in NAMES}
    for name, path in found.items():
        path.write_text(f"new {name}", encoding="utf-8")
        path.chmod(0o755 if name.endswith(".sh") else 0o644)
    return found


def state(root: Path) -> dict[str, str]:
    """Everything below a folder: the text of files, the kind of all others."""

    def about(path: Path) -> str:
        if path.is_symlink():
            return f"link to {path.readlink()}"
        return path.read_text(encoding="utf-8") if path.is_file() else "folder" if path.is_dir() else "other"

    return {path.relative_to(root).as_posix(): about(path) for path in sorted(root.rglob("*"))}


def test_new_files_are_written_with_their_folders(sources: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "not" / "yet"
    write_files(root, sources, overwrite=False)
    assert state(root) == {"docs": "folder", "docs/deep": "folder", **{name: f"new {name}" for name in NAMES}}
    if sys.platform != "win32":
        assert [os.access(root / name, os.X_OK) for name in NAMES] == [False, False, True]
    write_files(root, sources, overwrite=False)


def test_other_contents_are_replaced_only_with_overwrite(sources: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "b.txt").write_text("mine, and longer than the new text", encoding="utf-8")
    before = state(root)
    with pytest.raises(CannotWrite, match=r"these files in .* have other contents: docs/b\.txt; .*--force"):
        write_files(root, sources, overwrite=False)
    assert state(root) == before
    write_files(root, sources, overwrite=True)
    assert state(root)["docs/b.txt"] == "new docs/b.txt"


@posix
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "make", "text"),
    [
        ("docs", lambda path: path.symlink_to("../outside"), "docs is a symbolic link, not a folder"),
        ("docs", lambda path: path.touch(), "docs is a file, not a folder"),
        ("docs/deep", lambda path: os.mkfifo(path), "deep is a FIFO, not a folder"),
        ("a.txt", lambda path: path.symlink_to("../outside/a.txt"), "a.txt is a symbolic link, not a file"),
        ("docs/b.txt", lambda path: path.mkdir(), "b.txt is a folder, not a file"),
        ("docs/b.txt", lambda path: os.mkfifo(path), "b.txt is a FIFO, not a file"),
    ],
)
def test_something_else_in_the_place_of_a_file_or_folder_is_named(
    sources: dict[str, Path], tmp_path: Path, name: str, make: Callable[[Path], None], text: str, overwrite: bool
) -> None:
    root = tmp_path / "root"
    (tmp_path / "outside").mkdir()
    (root / name).parent.mkdir(parents=True)
    make(root / name)
    before = state(root)
    with pytest.raises(CannotWrite, match=text):
        write_files(root, sources, overwrite=overwrite)
    assert state(root) == before
    assert state(tmp_path / "outside") == {}


@posix
def test_all_obstacles_are_named_together(sources: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "root" / "a.txt").mkdir(parents=True)
    (tmp_path / "root" / "docs").touch()
    with pytest.raises(CannotWrite, match=r"a\.txt is a folder, not a file; .*docs is a file, not a folder"):
        write_files(tmp_path / "root", sources, overwrite=True)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@posix
def test_a_failure_while_writing_leaves_everything_as_it_was(sources: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("old", encoding="utf-8")
    sources["docs/deep/c.sh"].write_bytes(b"x" * 100_000)
    before = state(root)
    with largest_file(50_000), pytest.raises(CannotWrite, match="cannot be written"):
        write_files(root, sources, overwrite=True)
    assert state(root) == before
    with largest_file(50_000), pytest.raises(CannotWrite):
        write_files(tmp_path / "new" / "folder", sources, overwrite=True)
    assert not (tmp_path / "new").exists()


@posix
def test_a_root_that_is_no_folder_is_named(sources: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(CannotWrite, match="dangling is a symbolic link to nothing"):
        write_files(tmp_path / "dangling", sources, overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="Not a directory"):
        write_files(tmp_path / "file", sources, overwrite=True)
