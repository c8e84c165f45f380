"""What is built: the source distribution and the wheel have what they should, and `otelgres files` works from each."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.repository.checkout import ROOT, files

SOURCES: Final = ("collector/otelgres/", "exporters/otelgres/", "otel_setup/", "sql/otelgres/")
# Everything below these folders, and these files, is what `otelgres files` writes.
FOLDERS: Final = ("docs/deploy/", "docs/runbooks/", "grafana/")
SINGLE: Final = ("docker-compose.yml", "otel-collector.yaml")
SCRIPTS: Final = Path(sys.executable).parent


@dataclass(frozen=True)
class Built:
    source: Path
    wheel: Path


def otelgres(scripts: Path, *arguments: str, cwd: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("otelgres", path=str(scripts))
    assert program is not None
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def carried() -> set[str]:
    return {name for name in files() if name.startswith(FOLDERS) or name in SINGLE}


def written(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def originals() -> dict[str, bytes]:
    return {name: (ROOT / name).read_bytes() for name in carried()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, made from a copy without what earlier builds left: the wheel from the source distribution."""
    folder = tmp_path_factory.mktemp("build")
    for name in files():
        target = folder / "tree" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "tree")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (source,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return Built(source, wheel)


@pytest.fixture(scope="module")
def environment(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a new environment with the wheel; what it needs is found in the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip("--python", str(python), "install", "--no-deps", str(built.wheel))
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def test_the_source_distribution_is_everything_that_is_tracked(built: Built) -> None:
    with tarfile.open(built.source) as archive:
        names = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert names - made == set(files())


def test_the_wheel_is_the_packages_and_the_files_of_the_stack(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    (information,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    data = information.replace(".dist-info", ".data/data/share/doc/otelgres/")
    # The source roots are left out: collector/otelgres/collector is otelgres/collector in the wheel.
    sources = [name for name in files() if name.startswith(SOURCES)]
    packages = {re.sub(r"^\w+/(?=otelgres/)", "", name) for name in sources}
    assert {name for name in names if not name.startswith(f"{information}/")} == packages | {
        data + name for name in carried()
    }


def test_files_of_an_installed_wheel_are_the_originals(environment: Path, tmp_path: Path) -> None:
    listed = otelgres(environment, "files", "--list", cwd=tmp_path)
    assert (set(listed.stdout.split()), listed.stderr) == (carried(), "")
    done = otelgres(environment, "files", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert written(tmp_path / "out") == originals()
    for name in carried():
        assert str(Path("out", name)) in done.stdout.splitlines()
    assert "docker compose up" in done.stdout
    if sys.platform != "win32":
        assert os.access(tmp_path / "out" / "docs" / "deploy" / "make-secrets.sh", os.X_OK)


def test_files_of_a_target_folder_are_the_originals(built: Built, tmp_path: Path) -> None:
    pip("install", "--no-deps", "--target", str(tmp_path / "target"), str(built.wheel))
    needed = os.pathsep.join([str(tmp_path / "target"), sysconfig.get_path("purelib")])
    done = otelgres(tmp_path / "target" / "bin", "files", "out", cwd=tmp_path, PYTHONPATH=needed)
    assert (done.returncode, done.stderr) == (0, "")
    assert written(tmp_path / "out") == originals()


def test_files_of_the_checkout_are_not_overwritten_unless_asked_for(tmp_path: Path) -> None:
    assert otelgres(SCRIPTS, "files", "out", cwd=tmp_path).returncode == 0
    assert written(tmp_path / "out") == originals()
    changed, missing = tmp_path / "out" / "docker-compose.yml", tmp_path / "out" / "otel-collector.yaml"
    changed.write_text("mine", encoding="utf-8")
    missing.unlink()
    refused = otelgres(SCRIPTS, "files", "out", cwd=tmp_path)
    assert refused.returncode == 1
    assert "docker-compose.yml" in refused.stderr
    assert "--force" in refused.stderr
    assert changed.read_text(encoding="utf-8") == "mine"
    assert not missing.exists(), "nothing is written where one file is in the way"
    assert otelgres(SCRIPTS, "files", "out", "--force", cwd=tmp_path).returncode == 0
    assert written(tmp_path / "out") == originals()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_the_commands_to_start_the_stack_are_those_of_the_documents(tmp_path: Path) -> None:
    done = otelgres(SCRIPTS, "files", "out", cwd=tmp_path)
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(commands) == 3
    assert "\n".join(commands) in (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_files_follow_no_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "docs").symlink_to("../elsewhere")
    done = otelgres(SCRIPTS, "files", "out", "--force", cwd=tmp_path)
    expected = f"Error: nothing was written: {Path('out', 'docs')} is a symbolic link, not a folder.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
    assert written(tmp_path) == {}


def test_files_leave_the_checkout_itself_unchanged(tmp_path: Path) -> None:
    before = {name: (ROOT / name).stat() for name in carried()}
    done = otelgres(SCRIPTS, "files", str(ROOT), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    after = {name: (ROOT / name).stat() for name in carried()}
    assert {name: status.st_ino for name, status in before.items()} == {
        name: status.st_ino for name, status in after.items()
    }


def test_a_folder_is_needed_and_is_not_empty(tmp_path: Path) -> None:
    empty = otelgres(SCRIPTS, "files", "", cwd=tmp_path)
    assert (empty.returncode, "the path is empty" in empty.stderr, written(tmp_path)) == (2, True, {})
    done = otelgres(SCRIPTS, "files", cwd=tmp_path)
    assert done.returncode == 2
    assert "the folder to write into" in done.stderr
